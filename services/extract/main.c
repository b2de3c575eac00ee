/* lutra-extract: see extract.h. */
#include "extract/extract.h"

int main(int argc, char **argv)
{
    return lutra_daemon_main(&lutra_extract_service, argc, argv);
}
