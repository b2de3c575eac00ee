/* The command line of every service. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/yaml.h"
#include "daemon/daemon_private.h"

enum { OPT_CHECK = 256, OPT_PRINT_CONFIG, OPT_PRINT_KEYS, OPT_VERSION };

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"check-config", no_argument, NULL, OPT_CHECK},
    {"print-config", no_argument, NULL, OPT_PRINT_CONFIG},
    {"print-keys", no_argument, NULL, OPT_PRINT_KEYS},
    {"version", no_argument, NULL, OPT_VERSION},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static void print_help(const struct lutra_service *service)
{
    printf("lutra-%s: %s\n\n"
           "Usage: lutra-%s --config FILE\n\n"
           "  -c, --config FILE   configuration (YAML); LUTRA_<KEY> in the environment overrides\n"
           "      --check-config  says whether the configuration is valid: exit status 0 or 78\n"
           "      --print-config  the effective configuration, without secrets\n"
           "      --print-keys    every key with its default, as a Markdown table\n"
           "      --version\n"
           "  -h, --help\n\n"
           "Signals: TERM and INT drain and stop (the second one stops at once), HUP reloads\n"
           "log.level and log.json.\n"
           "Exit status: 0 clean stop, 1 fatal error, 2 usage, 78 configuration refused.\n\n"
           "Example: lutra-%s --config /etc/lutra/%s.yaml\n",
           service->name, service->description, service->name, service->name, service->name);
}

static void complain(const struct lutra_service *service, const char *what, const char *word)
{
    static const char *const names[] = {
        "--config", "--check-config", "--print-config", "--print-keys", "--version", "--help",
        NULL};
    const char *near = lutra_did_you_mean(word, names);

    fprintf(stderr, "lutra-%s: %s: %s", service->name, what, word);
    if (near != NULL && strcmp(near, word) != 0) {
        fprintf(stderr, "; did you mean %s?", near);
    }
    fprintf(stderr, "\nUsage: lutra-%s --config FILE; --help tells more\n", service->name);
}

void lutra_daemon_options_parse(const struct lutra_service *service,
                                int argc,
                                char **argv,
                                struct lutra_daemon_options *options)
{
    int c;

    *options = (struct lutra_daemon_options){.action = LUTRA_DAEMON_RUN};
    opterr = 0;
    optind = 0; /* GNU: begins anew, since tests call this more than once */
    while ((c = getopt_long(argc, argv, ":c:h", long_options, NULL)) != -1) {
        switch (c) {
        case 'c':
            options->config_path = optarg;
            break;
        case OPT_CHECK:
            options->action = LUTRA_DAEMON_CHECK_CONFIG;
            break;
        case OPT_PRINT_CONFIG:
            options->action = LUTRA_DAEMON_PRINT_CONFIG;
            break;
        case OPT_PRINT_KEYS:
            options->action = LUTRA_DAEMON_PRINT_KEYS;
            break;
        case OPT_VERSION:
            printf("lutra-%s %s\n", service->name, LUTRA_VERSION);
            options->action = LUTRA_DAEMON_EXIT;
            return;
        case 'h':
            print_help(service);
            options->action = LUTRA_DAEMON_EXIT;
            return;
        default:
            complain(service, c == ':' ? "an argument is missing" : "unknown option",
                     argv[optind - 1]);
            options->action = LUTRA_DAEMON_EXIT;
            options->status = LUTRA_EXIT_USAGE;
            return;
        }
    }
    if (optind < argc) {
        complain(service, "unexpected argument", argv[optind]);
        options->action = LUTRA_DAEMON_EXIT;
        options->status = LUTRA_EXIT_USAGE;
    }
}
