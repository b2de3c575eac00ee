/* lutra-load: see load.h. */
#include "load/load.h"

int main(int argc, char **argv)
{
    return lutra_daemon_main(&lutra_load_service, argc, argv);
}
