#include <criterion/criterion.h>
#include <criterion/redirect.h>

#include "daemon/daemon_private.h"

static const struct lutra_service service = {.name = "sample", .description = "a sample"};

static struct lutra_daemon_options parse(char *first, char *second)
{
    char *argv[] = {"lutra-sample", first, second, NULL};
    struct lutra_daemon_options options;

    lutra_daemon_options_parse(&service,
                               first == NULL    ? 1
                               : second == NULL ? 2
                                                : 3,
                               argv, &options);
    return options;
}

Test(daemon_options, what_they_mean)
{
    cr_redirect_stdout();
    cr_assert_eq(parse(NULL, NULL).action, LUTRA_DAEMON_RUN);
    cr_assert_null(parse(NULL, NULL).config_path);
    cr_assert_str_eq(parse("--config", "/x.yaml").config_path, "/x.yaml");
    cr_assert_str_eq(parse("-c", "/x.yaml").config_path, "/x.yaml");
    cr_assert_str_eq(parse("--config=/x.yaml", NULL).config_path, "/x.yaml");
    cr_assert_eq(parse("--check-config", NULL).action, LUTRA_DAEMON_CHECK_CONFIG);
    cr_assert_eq(parse("--print-config", NULL).action, LUTRA_DAEMON_PRINT_CONFIG);
    cr_assert_eq(parse("--print-keys", NULL).action, LUTRA_DAEMON_PRINT_KEYS);
    cr_assert_eq(parse("--version", NULL).action, LUTRA_DAEMON_EXIT);
    cr_assert_eq(parse("--version", NULL).status, 0);
    cr_assert_eq(parse("--help", NULL).status, 0);
}

Test(daemon_options, what_is_wrong_is_usage)
{
    char *const bad[] = {"--confg", "-x", "--config", "extra", "--check-config=1"};

    cr_redirect_stderr();
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct lutra_daemon_options options = parse(bad[i], NULL);

        cr_assert_eq(options.action, LUTRA_DAEMON_EXIT, "%s", bad[i]);
        cr_assert_eq(options.status, LUTRA_EXIT_USAGE, "%s", bad[i]);
    }
}

Test(daemon_options, a_slip_of_the_hand_is_answered)
{
    cr_redirect_stderr();
    parse("--chek-config", NULL);
    cr_assert_stderr_eq_str("lutra-sample: unknown option: --chek-config; did you mean "
                            "--check-config?\n"
                            "Usage: lutra-sample --config FILE; --help tells more\n");
}
