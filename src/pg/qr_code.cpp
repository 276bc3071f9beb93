#include "jit_access/pg/qr_code.hpp"

#include <memory>
#include <stdexcept>

#include <qrencode.h>

namespace jit::pg {

namespace {

constexpr int quiet_zone = 4;  // modules, as ISO/IEC 18004 requires

class Modules {
public:
    explicit Modules(const std::string& text)
        : code_(QRcode_encodeData(static_cast<int>(text.size()), reinterpret_cast<const unsigned char*>(text.data()), 0,
                                  QR_ECLEVEL_L),
                &QRcode_free) {
        if (!code_) throw std::runtime_error("the text does not fit in a QR code");
    }
    [[nodiscard]] int width() const noexcept { return code_->width; }
    // All modules outside of the code are light.
    [[nodiscard]] bool is_light(int row, int column) const noexcept {
        const int last = code_->width - 1;
        if (row < 0 || column < 0 || row > last || column > last) return true;
        return (code_->data[row * code_->width + column] & 1U) == 0;
    }

private:
    std::unique_ptr<QRcode, decltype(&QRcode_free)> code_;
};

const char* half_blocks(bool upper, bool lower) noexcept {
    if (upper) return lower ? "\u2588" : "\u2580";
    return lower ? "\u2584" : " ";
}

}  // namespace

std::string qr_code(const std::string& text, Drawing drawing) {
    const Modules modules(text);
    const int end = modules.width() + quiet_zone;
    const int rows_per_line = drawing == Drawing::half_blocks ? 2 : 1;
    std::string drawing_text;
    for (int row = -quiet_zone; row < end; row += rows_per_line) {
        if (row != -quiet_zone) drawing_text += '\n';
        for (int column = -quiet_zone; column < end; ++column) {
            const bool light = modules.is_light(row, column);
            drawing_text += drawing == Drawing::ascii
                                ? (light ? "##" : "  ")
                                : half_blocks(light, row + 1 < end && modules.is_light(row + 1, column));
        }
    }
    return drawing_text;
}

}  // namespace jit::pg
