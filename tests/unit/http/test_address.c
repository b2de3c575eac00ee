#include <criterion/criterion.h>

#include "http/address.h"

Test(http_address, host_and_port)
{
    struct lutra_http_address address;
    struct lutra_error err = {0};
    char buf[272];

    cr_assert_eq(lutra_http_address_parse("10.0.0.5:8640", &address, &err), 0);
    cr_assert_str_eq(address.host, "10.0.0.5");
    cr_assert_eq(address.port, 8640);
    cr_assert_str_eq(lutra_http_address_format(&address, buf), "10.0.0.5:8640");
    cr_assert(lutra_http_address_is_numeric(&address));
    cr_assert_not(lutra_http_address_is_loopback(&address));
}

Test(http_address, v6_stands_in_brackets)
{
    struct lutra_http_address address;
    struct lutra_error err = {0};
    char buf[272];

    cr_assert_eq(lutra_http_address_parse("[::1]:0", &address, &err), 0);
    cr_assert_str_eq(address.host, "::1");
    cr_assert(lutra_http_address_is_loopback(&address));
    cr_assert_str_eq(lutra_http_address_format(&address, buf), "[::1]:0");
    cr_assert_eq(lutra_http_address_parse("::1:80", &address, &err), -1);
}

Test(http_address, what_is_not_one_is_refused)
{
    static const char *const bad[] = {"",      "host",  "host:",     ":80",     "host:65536",
                                      "a:-1",  "a:1x",  "a b:1",     "[::1:80", "host:000001",
                                      "a/b:1", "h\n:1", "http://h:1"};
    struct lutra_http_address address;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct lutra_error err = {0};

        cr_assert_eq(lutra_http_address_parse(bad[i], &address, &err), -1, "\"%s\"", bad[i]);
        cr_assert_eq(err.class, LUTRA_CONFIG);
    }
}

Test(http_address, loopback_and_any)
{
    struct lutra_http_address address;

    cr_assert_eq(lutra_http_address_parse("127.8.9.1:1", &address, NULL), 0);
    cr_assert(lutra_http_address_is_loopback(&address));
    cr_assert_eq(lutra_http_address_parse("localhost:1", &address, NULL), 0);
    cr_assert(lutra_http_address_is_loopback(&address));
    cr_assert_not(lutra_http_address_is_numeric(&address));
    cr_assert_eq(lutra_http_address_parse("0.0.0.0:1", &address, NULL), 0);
    cr_assert(lutra_http_address_is_any(&address));
    cr_assert_not(lutra_http_address_is_loopback(&address));
}
