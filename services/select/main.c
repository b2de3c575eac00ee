/* lutra-select: see select.h. */
#include "select/select.h"

int main(int argc, char **argv)
{
    return lutra_daemon_main(&lutra_select_service, argc, argv);
}
