/* Who a source is, of a single server and of a media group. */
#include <criterion/criterion.h>

#include "select/identity.h"

Test(identity, of_a_member_bears_its_name)
{
    char out[64];
    cr_assert_str_eq(sel_identity_make(NULL, "mariadb:1:0", out, sizeof(out)), "mariadb:1:0");
    cr_assert_str_eq(sel_identity_make("b", "mariadb:2:0", out, sizeof(out)), "b/mariadb:2:0");
}

Test(identity, file_and_offset_hold_at_one_server_only)
{
    cr_assert(sel_identity_same("mariadb:1:0", "mariadb:1:0"));
    cr_assert(sel_identity_same("a/mariadb:1:0", "a/mariadb:1:0"));
    cr_assert(sel_identity_same("mariadb:1:0", "a/mariadb:1:0"), "the definition became a group");
    cr_assert(sel_identity_same("a/mariadb:1:0", "mariadb:1:0"), "... and ceased to be one");
    cr_assert_not(sel_identity_same("a/mariadb:1:0", "b/mariadb:2:0"));
    cr_assert_not(sel_identity_same("a/mariadb:1:0", "b/mariadb:1:0"), "two members of one id");
    cr_assert_not(sel_identity_same("a/mariadb:1:0", "a/mariadb:3:0"), "the server was replaced");
}

Test(identity, only_another_name_is_a_switch)
{
    cr_assert(sel_identity_switched("a/mariadb:1:0", "b/mariadb:2:0"));
    cr_assert(sel_identity_switched("mariadb:1:0", "b/mariadb:2:0"));
    cr_assert_not(sel_identity_switched("a/mariadb:1:0", "a/mariadb:3:0"),
                  "another server behind the same name must be accepted by an operator");
    cr_assert_not(sel_identity_switched("a/mariadb:1:0", "mariadb:2:0"));
    cr_assert_not(sel_identity_switched("mariadb:1:0", "mariadb:2:0"));
}
