#include "jit_access/pg/json.hpp"

#include "jit_access/pg/server.hpp"

extern "C" {
#include "lib/stringinfo.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"
}

namespace jit::pg {

std::string quote_json(const std::string& text) {
    const char* quoted = call([&] {
        StringInfoData buffer;
        initStringInfo(&buffer);
        escape_json(&buffer, text.c_str());
        return buffer.data;
    });
    return quoted;
}

std::string normalize_json(const std::string& document) {
    const char* normalized = call([&] {
        Jsonb* jsonb = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(document.c_str())));
        return JsonbToCString(nullptr, &jsonb->root, VARSIZE(jsonb));
    });
    return normalized;
}

}  // namespace jit::pg
