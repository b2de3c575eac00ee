#include "http/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static int parse_port(const char *text, uint16_t *port)
{
    unsigned value = 0;

    if (text[0] == '\0' || strlen(text) > 5) {
        return -1;
    }
    for (const char *p = text; *p != '\0'; p++) {
        if (*p < '0' || *p > '9') {
            return -1;
        }
        value = value * 10 + (unsigned)(*p - '0');
    }
    if (value > UINT16_MAX) {
        return -1;
    }
    *port = (uint16_t)value;
    return 0;
}

static bool host_valid(const char *host, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = host[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '-' || c == '_' || c == ':' || c == '%')) {
            return false;
        }
    }
    return len > 0;
}

int lutra_http_address_parse(const char *text,
                             struct lutra_http_address *address,
                             struct lutra_error *err)
{
    const char *colon = strrchr(text, ':');
    const char *host = text;
    size_t len;

    memset(address, 0, sizeof(*address));
    if (colon == NULL || parse_port(colon + 1, &address->port) != 0) {
        return lutra_error_set(err, LUTRA_CONFIG, 0, "\"%.200s\": expected host:port", text);
    }
    len = (size_t)(colon - text);
    if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
    } else if (memchr(host, ':', len) != NULL) {
        return lutra_error_set(err, LUTRA_CONFIG, 0,
                               "\"%.200s\": an IPv6 address stands in brackets, [::1]:8640", text);
    }
    if (len >= sizeof(address->host) || !host_valid(host, len)) {
        return lutra_error_set(err, LUTRA_CONFIG, 0, "\"%.200s\": expected host:port", text);
    }
    memcpy(address->host, host, len);
    return 0;
}

const char *lutra_http_address_format(const struct lutra_http_address *address, char *buf)
{
    bool v6 = strchr(address->host, ':') != NULL;

    snprintf(buf, 272, v6 ? "[%s]:%u" : "%s:%u", address->host, (unsigned)address->port);
    return buf;
}

bool lutra_http_address_is_loopback(const struct lutra_http_address *address)
{
    struct in_addr v4;

    if (strcmp(address->host, "localhost") == 0 || strcmp(address->host, "::1") == 0) {
        return true;
    }
    return inet_pton(AF_INET, address->host, &v4) == 1 && (ntohl(v4.s_addr) >> 24) == 127;
}

bool lutra_http_address_is_any(const struct lutra_http_address *address)
{
    return strcmp(address->host, "0.0.0.0") == 0 || strcmp(address->host, "::") == 0;
}

bool lutra_http_address_is_numeric(const struct lutra_http_address *address)
{
    struct in6_addr any;

    return inet_pton(AF_INET, address->host, &any) == 1 ||
           inet_pton(AF_INET6, address->host, &any) == 1;
}
