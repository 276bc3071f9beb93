#include "jit_access/pg/client.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include "jit_access/pg/server.hpp"

// The layout of Port is the same without, and Debian's headers do not bring those of GSSAPI.
#undef ENABLE_GSS
extern "C" {
#include "libpq/auth.h"
#include "libpq/libpq-be.h"
}

namespace jit::pg {

namespace {

ClientAuthentication_hook_type next_authentication = nullptr;
std::uint32_t method = 0;
void (*when_let_in)(const core::Client&) noexcept = nullptr;

core::Address address_of(const sockaddr_storage& socket) noexcept {
    const auto bytes = [](const void* first, std::size_t size) {
        return core::address_from({static_cast<const std::uint8_t*>(first), size});
    };
    switch (socket.ss_family) {
        case AF_INET: {
            const auto& v4 = reinterpret_cast<const sockaddr_in&>(socket).sin_addr;
            return bytes(&v4, sizeof v4);
        }
        case AF_INET6: {
            const auto& v6 = reinterpret_cast<const sockaddr_in6&>(socket).sin6_addr;
            return bytes(&v6, sizeof v6);
        }
        default: return {};
    }
}

core::Client look() noexcept {
    core::Client client{.database = MyDatabaseId};
    if (MyProcPort == nullptr) return client;
    client.connected = true;
    client.address = address_of(MyProcPort->raddr.addr);
    client.tls = MyProcPort->ssl_in_use;
    client.certificate = MyProcPort->ssl_in_use && MyProcPort->peer_cert_valid;
    client.method = method;
    return client;
}

// Afterwards the line of pg_hba.conf that has let it in is no more.
void authenticate(Port* port, int status) {
    if (next_authentication != nullptr) next_authentication(port, status);
    if (status != STATUS_OK || port->hba == nullptr) return;
    method = core::auth_method(hba_authname(port->hba->auth_method));
    when_let_in(look());
}

}  // namespace

const core::Client& client() noexcept {
    static const core::Client known = look();
    return known;
}

void install_authentication_hook(void (*let_in)(const core::Client&) noexcept) noexcept {
    when_let_in = let_in;
    next_authentication = ClientAuthentication_hook;
    ClientAuthentication_hook = authenticate;
}

}  // namespace jit::pg
