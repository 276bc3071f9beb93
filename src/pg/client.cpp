#include "jit_access/pg/client.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include "jit_access/pg/server.hpp"

// With ENABLE_GSS, libpq-be.h includes GSSAPI headers, which the server's development package does not depend on. The
// layout of Port does not depend on it.
#undef ENABLE_GSS
extern "C" {
#include "libpq/auth.h"
#include "libpq/libpq-be.h"
}

namespace jit::pg {

namespace {

ClientAuthentication_hook_type next_authentication = nullptr;
std::uint32_t method = 0;
void (*on_authenticated)(const core::Client&) noexcept = nullptr;

// Returns an empty address for a Unix socket.
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

core::Client read_client() noexcept {
    core::Client client{.database = MyDatabaseId};
    if (MyProcPort == nullptr) return client;
    client.connected = true;
    client.address = address_of(MyProcPort->raddr.addr);
    client.tls = MyProcPort->ssl_in_use;
    client.certificate = MyProcPort->ssl_in_use && MyProcPort->peer_cert_valid;
    client.method = method;
    return client;
}

// The method is copied now, because the memory of Port.hba is freed when authentication is complete (tcop/postgres.c).
void authenticate(Port* port, int status) {
    if (next_authentication != nullptr) next_authentication(port, status);
    if (status != STATUS_OK || port->hba == nullptr) return;
    method = core::auth_method(hba_authname(port->hba->auth_method));
    on_authenticated(read_client());
}

}  // namespace

const core::Client& client() noexcept {
    static const core::Client constant = read_client();
    return constant;
}

void install_authentication_hook(void (*authenticated)(const core::Client&) noexcept) noexcept {
    on_authenticated = authenticated;
    next_authentication = ClientAuthentication_hook;
    ClientAuthentication_hook = authenticate;
}

}  // namespace jit::pg
