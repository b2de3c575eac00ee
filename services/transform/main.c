/* lutra-transform: see transform.h. */
#include "transform/transform.h"

int main(int argc, char **argv)
{
    return lutra_daemon_main(&lutra_transform_service, argc, argv);
}
