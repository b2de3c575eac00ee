/* follow: auto: which looks at a media group make a switch. */
#include <criterion/criterion.h>
#include <string.h>

#include "db/scout.h"

#define GONE(n)   \
    {             \
        .name = n \
    }
#define PRIMARY(n)                                 \
    {                                              \
        .name = n, .reachable = true, .fits = true \
    }
#define STANDBY(n)                                                          \
    {                                                                       \
        .name = n, .reachable = true, .read_only = true, .replicates = true \
    }
#define REPLICA(n)                                       \
    {                                                    \
        .name = n, .reachable = true, .replicates = true \
    }
#define UNFIT(n)                                                   \
    {                                                              \
        .name = n, .reachable = true, .detail = "lacks GTID 0-1-9" \
    }

static char why[1024];
static size_t to;

#define DECIDE(...)                                                               \
    lutra_follow_decide((const struct lutra_member_view[]){__VA_ARGS__},          \
                        sizeof((const struct lutra_member_view[]){__VA_ARGS__}) / \
                            sizeof(struct lutra_member_view),                     \
                        "a", &to, why, sizeof(why))

Test(follow, a_primary_that_answers_and_is_writable_stays)
{
    cr_assert_eq(DECIDE(PRIMARY("a"), STANDBY("b")), LUTRA_FOLLOW_STAY);
    cr_assert_str_eq(why, "");
    cr_assert_eq(DECIDE(PRIMARY("a"), PRIMARY("b")), LUTRA_FOLLOW_STAY, "whatever others say");
    cr_assert_eq(DECIDE(REPLICA("a"), PRIMARY("b")), LUTRA_FOLLOW_STAY, "a ring of primaries");
}

Test(follow, the_only_member_that_was_promoted_takes_its_place)
{
    cr_assert_eq(DECIDE(GONE("a"), STANDBY("b"), PRIMARY("c")), LUTRA_FOLLOW_SWITCH);
    cr_assert_eq(to, 2);
    cr_assert_eq(DECIDE(STANDBY("a"), PRIMARY("b")), LUTRA_FOLLOW_SWITCH, "it was demoted");
    cr_assert_eq(to, 1);
    cr_assert(strstr(why, "a is read_only, b is writable"), "%s", why);
}

Test(follow, while_nobody_was_promoted_nothing_is_switched)
{
    cr_assert_eq(DECIDE(GONE("a"), STANDBY("b")), LUTRA_FOLLOW_WAIT);
    cr_assert(strstr(why, "a cannot be reached, b is read_only"), "%s", why);
    cr_assert_eq(DECIDE(GONE("a"), REPLICA("b")), LUTRA_FOLLOW_WAIT,
                 "a standby that forgot read_only still applies what it got");
    cr_assert_eq(DECIDE(GONE("a"), GONE("b")), LUTRA_FOLLOW_WAIT);
}

Test(follow, two_primaries_are_a_split_brain_and_nothing_is_switched)
{
    cr_assert_eq(DECIDE(GONE("a"), PRIMARY("b"), PRIMARY("c")), LUTRA_FOLLOW_SPLIT);
    cr_assert(strstr(why, "split brain") && strstr(why, "b is writable, c is writable"), "%s", why);
    cr_assert_eq(DECIDE(GONE("a"), PRIMARY("b"), UNFIT("c")), LUTRA_FOLLOW_SPLIT,
                 "also when one of them would not do");
}

Test(follow, a_primary_that_lacks_what_is_applied_is_named_and_not_followed)
{
    cr_assert_eq(DECIDE(GONE("a"), UNFIT("b")), LUTRA_FOLLOW_WAIT);
    cr_assert(strstr(why, "b became the primary") && strstr(why, "0-1-9"), "%s", why);
}
