/* The whole table; `tests/run fault` runs it by tests/fault/run. */
#include <criterion/criterion.h>

#include "suite.h"

Test(fault, cells)
{
    suite_cells(NULL);
}

Test(fault, zombies)
{
    suite_zombies(1);
}

Test(fault, take_overs)
{
    suite_take_overs(5);
}
