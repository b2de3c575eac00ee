/* "host:port" and "[v6]:port". */
#ifndef LUTRA_HTTP_ADDRESS_H
#define LUTRA_HTTP_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

struct lutra_http_address {
    char host[256]; /* without brackets */
    uint16_t port;
};

/* -1 and CONFIG: not an address. Port 0 is accepted. */
int lutra_http_address_parse(const char *text,
                             struct lutra_http_address *address,
                             struct lutra_error *err) LUTRA_MUST_CHECK;
/* buf of at least 272 bytes; returns buf. Brackets stand where they are needed. */
const char *lutra_http_address_format(const struct lutra_http_address *address, char *buf);
/* 127.0.0.0/8, ::1 or localhost. */
bool lutra_http_address_is_loopback(const struct lutra_http_address *address);
/* 0.0.0.0 or ::. */
bool lutra_http_address_is_any(const struct lutra_http_address *address);
/* Is the host a number, so that no name server is asked? */
bool lutra_http_address_is_numeric(const struct lutra_http_address *address);

#endif
