#include "turbo/budget.h"

#include <string.h>

static bool same_address(const struct turbo_address *a, const struct turbo_address *b)
{
    return a->port == b->port && turbo_address_same_ip(a, b);
}

static bool same_path(const struct turbo_path *a, const struct turbo_path *b)
{
    return same_address(&a->peer, &b->peer) && same_address(&a->local, &b->local);
}

/* Moves account `index` to the front. */
static void touch(struct budget *budget, size_t index)
{
    struct budget_account account = budget->accounts[index];
    memmove(&budget->accounts[1], &budget->accounts[0], index * sizeof(account));
    budget->accounts[0] = account;
}

bool budget_earn(struct budget *budget, const struct turbo_path *path, size_t bytes)
{
    size_t i = 0;
    while (i < budget->count && !same_path(&budget->accounts[i].path, path))
        i++;
    if (i == budget->count) {
        if (budget->count == TURBO_PATHS_MAX)
            return false;
        budget->accounts[budget->count++] = (struct budget_account){.path = *path};
    }
    struct budget_account *account = &budget->accounts[i];
    if (account->received > UINT32_MAX / TURBO_BUDGET_FACTOR - bytes)
        return false;
    account->permits++;
    account->received += (uint32_t)bytes;
    touch(budget, i);
    return true;
}

static bool may_spend(const struct budget *budget, const struct budget_account *account,
                      size_t bytes, uint32_t permits)
{
    if (budget->is_proved && turbo_address_same_ip(&account->path.peer, &budget->proved))
        return true;
    return account->permits >= permits &&
           account->sent + bytes <= (size_t)TURBO_BUDGET_FACTOR * account->received;
}

static bool spend(struct budget *budget, size_t bytes, uint32_t permits, struct turbo_path *path)
{
    for (size_t i = 0; i < budget->count; i++) {
        struct budget_account *account = &budget->accounts[i];
        if (!may_spend(budget, account, bytes, permits))
            continue;
        if (account->permits > 0)
            account->permits--;
        account->sent += (uint32_t)bytes;
        *path = account->path;
        return true;
    }
    return false;
}

bool budget_spend(struct budget *budget, size_t bytes, struct turbo_path *path)
{
    return spend(budget, bytes, 1, path);
}

bool budget_spend_spare(struct budget *budget, size_t bytes, struct turbo_path *path)
{
    return spend(budget, bytes, 2, path);
}

void budget_keep(struct budget *budget, const struct turbo_address *peer)
{
    for (size_t i = 0; i < budget->count; i++)
        if (!turbo_address_same_ip(&budget->accounts[i].path.peer, peer))
            budget->accounts[i].permits = 0;
}

bool budget_knows(const struct budget *budget, const struct turbo_address *peer)
{
    for (size_t i = 0; i < budget->count; i++)
        if (turbo_address_same_ip(&budget->accounts[i].path.peer, peer))
            return true;
    return false;
}
