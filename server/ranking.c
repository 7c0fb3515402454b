#include "server/ranking.h"

#include "server/ranking_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const ranking_term borda[] = {
    {.metric = METRIC_hidden_cov_per_row, .weight = 1},
    {.metric = METRIC_softmax_confidence_per_tensor, .weight = 1},
    {.metric = METRIC_synflow_log10, .weight = 1},
    {.metric = METRIC_token_corr, .weight = -1},
    {.metric = METRIC_param_count, .weight = -1},
};

/* --- terms ------------------------------------------------------------------------------------ */

static err_code read_term(ranking *r, const char *text, size_t n, error *err)
{
    char name[64];
    const char *colon = memchr(text, ':', n);
    size_t length = colon ? (size_t)(colon - text) : 0;
    if (length == 0 || length >= sizeof name)
        return error_set(err, ERR_TYPE, "/weights",
                         "\"%.*s\" is no weight; allowed: metric:weight, with commas between",
                         (int)(n < 60 ? n : 60), text);
    memcpy(name, text, length);
    name[length] = '\0';
    int m = registry_find(&metric_registry, name);
    if (m < 0)
        return error_set(err, ERR_UNKNOWN_NAME, "/weights", "there is no metric \"%.60s\"", name);
    char *end;
    double weight = strtod(colon + 1, &end);
    if (end == colon + 1 || end != text + n || !(weight >= -1 && weight <= 1))
        return error_set(err, ERR_RANGE, "/weights", "the weight of %s is %.*s; allowed: -1 to 1",
                         name, (int)(n - length - 1 < 30 ? n - length - 1 : 30), colon + 1);
    if (ranking_uses(r, m))
        return error_set(err, ERR_DUPLICATE_FIELD, "/weights", "%s has two weights", name);
    if (r->n_terms == RANKING_TERMS)
        return error_set(err, ERR_RANGE, "/weights", "there are more than %d weights",
                         RANKING_TERMS);
    r->terms[r->n_terms++] = (ranking_term){.metric = (metric)m, .weight = weight};
    return ERR_OK;
}

static err_code read_terms(ranking *r, const char *weights, error *err)
{
    err_code code = ERR_OK;
    r->weighted = weights && *weights;
    if (!r->weighted) {
        r->n_terms = (int)(sizeof borda / sizeof *borda);
        memcpy(r->terms, borda, sizeof borda);
        return ERR_OK;
    }
    for (const char *at = weights; !code; at++) {
        size_t n = strcspn(at, ",");
        code = read_term(r, at, n, err);
        at += n;
        if (!*at) break;
    }
    return code;
}

err_code ranking_new(ranking **out, const char *weights, error *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out) return error_set(err, ERR_MEMORY, "", "not enough memory for the ranking");
    (*out)->at = -1;
    return read_terms(*out, weights, err);
}

void ranking_free(ranking *r)
{
    if (!r) return;
    for (int i = 0; i < r->n_arms; i++) free(r->arms[i].arm);
    free(r->arms);
    free(r->sums);
    free(r->losses);
    free(r->values);
    free(r->order);
    free(r);
}

bool ranking_uses(const ranking *r, int m)
{
    for (int i = 0; i < r->n_terms; i++)
        if ((int)r->terms[i].metric == m) return true;
    return false;
}

/* --- runs ------------------------------------------------------------------------------------- */

static void add(ranking_sum *s, double value)
{
    double from = value - s->mean;
    s->mean += from / ++s->n;
    s->square += from * (value - s->mean);
}

/* The run at hand is complete. */
static void close_run(ranking *r)
{
    if (r->at < 0) return;
    for (int i = 0; i < r->n_terms; i++) {
        const ranking_cell *c = &r->run[i];
        double value = c->n_whole ? c->whole : c->n_blocks ? c->blocks / c->n_blocks : (double)NAN;
        if (isfinite(value)) add(&r->sums[r->at * RANKING_TERMS + i], value);
    }
    if (isfinite(r->run_loss)) add(&r->losses[r->at], r->run_loss);
    r->arms[r->at].runs++;
    r->at = -1;
}

static bool grow(ranking *r)
{
    int room = r->room ? 2 * r->room : 16;
    ranking_arm *arms = realloc(r->arms, (size_t)room * sizeof *arms);
    if (arms) r->arms = arms;
    ranking_sum *sums = realloc(r->sums, (size_t)room * RANKING_TERMS * sizeof *sums);
    if (sums) r->sums = sums;
    ranking_sum *losses = realloc(r->losses, (size_t)room * sizeof *losses);
    if (losses) r->losses = losses;
    if (!arms || !sums || !losses) return false;
    r->room = room;
    return true;
}

/* Runs of one arm come one after another, so the last arm is looked at first. */
static int find_arm(const ranking *r, const char *arm)
{
    for (int i = r->n_arms - 1; i >= 0; i--)
        if (strcmp(r->arms[i].arm, arm) == 0) return i;
    return -1;
}

err_code ranking_run(ranking *r, const char *arm, error *err)
{
    close_run(r);
    int at = find_arm(r, arm);
    if (at < 0) {
        char *copy = strdup(arm);
        if (!copy || (r->n_arms == r->room && !grow(r))) {
            free(copy);
            return error_set(err, ERR_MEMORY, "", "not enough memory for the ranking");
        }
        at = r->n_arms++;
        r->arms[at] = (ranking_arm){.arm = copy};
        memset(&r->sums[at * RANKING_TERMS], 0, RANKING_TERMS * sizeof *r->sums);
        r->losses[at] = (ranking_sum){0};
    }
    memset(r->run, 0, sizeof r->run);
    r->run_loss = (double)NAN;
    r->at = at;
    return ERR_OK;
}

void ranking_measure(
    ranking *r, int step, int layer, site where, metric m, double value, bool defined)
{
    if (step != 0 || r->at < 0) return;
    for (int i = 0; i < r->n_terms; i++) {
        ranking_cell *c = &r->run[i];
        if (r->terms[i].metric != m) continue;
        if (layer == -1) c->n_whole = 1, c->whole = defined ? value : (double)NAN;
        if (layer >= 1 && where == SITE_resid_out)
            c->n_blocks++, c->blocks += defined ? value : (double)NAN;
        r->terms[i].measured = true;
    }
}

void ranking_loss(ranking *r, double final_loss)
{
    r->run_loss = final_loss;
}

/* --- scores ----------------------------------------------------------------------------------- */

static ranking_value *value_of_arm(const ranking *r, int arm, int term)
{
    return &r->values[arm * RANKING_TERMS + term];
}

static void finish_values(ranking *r)
{
    r->fewest = r->n_arms ? r->arms[0].runs : 0;
    for (int a = 0; a < r->n_arms; a++) {
        for (int i = 0; i < r->n_terms; i++) {
            const ranking_sum *s = &r->sums[a * RANKING_TERMS + i];
            *value_of_arm(r, a, i) =
                (ranking_value){.mean = s->n ? s->mean : (double)NAN,
                                .std = s->n > 1 ? sqrt(s->square / (s->n - 1)) : (double)NAN,
                                .n = s->n};
        }
        r->arms[a].loss = r->losses[a].n ? r->losses[a].mean : (double)NAN;
        if (r->arms[a].runs < r->fewest) r->fewest = r->arms[a].runs;
    }
}

/* Of two means the better: 1, -1, or 0 for equal; undefined is worst. */
static int better(double a, double b, double weight)
{
    if (isnan(a) || isnan(b)) return isnan(b) - isnan(a);
    return a == b ? 0 : (a > b) == (weight > 0) ? 1 : -1;
}

static void rank_term(ranking *r, int term)
{
    for (int a = 0; a < r->n_arms; a++) {
        ranking_value *v = value_of_arm(r, a, term);
        v->rank = 1;
        for (int b = 0; b < r->n_arms; b++) {
            int c = better(value_of_arm(r, b, term)->mean, v->mean, r->terms[term].weight);
            if (b != a) v->rank += c > 0 ? 1 : c == 0 ? 0.5 : 0;
        }
    }
}

static void scale_term(ranking *r, int term)
{
    double low = INFINITY, high = -INFINITY;
    for (int a = 0; a < r->n_arms; a++) {
        double x = value_of_arm(r, a, term)->mean;
        if (x < low) low = x;
        if (x > high) high = x;
    }
    for (int a = 0; a < r->n_arms; a++) {
        ranking_value *v = value_of_arm(r, a, term);
        v->scaled = isnan(v->mean) || !(high > low) ? 0 : (v->mean - low) / (high - low);
    }
}

static void score(ranking *r)
{
    int measured = 0;
    for (int i = 0; i < r->n_terms; i++) {
        if (!r->terms[i].measured) continue;
        measured++;
        if (r->weighted)
            scale_term(r, i);
        else
            rank_term(r, i);
        for (int a = 0; a < r->n_arms; a++) {
            const ranking_value *v = value_of_arm(r, a, i);
            r->arms[a].score += r->weighted ? r->terms[i].weight * v->scaled : v->rank;
        }
    }
    for (int a = 0; a < r->n_arms && !r->weighted && measured; a++) r->arms[a].score /= measured;
}

static void order_arms(ranking *r)
{
    double sign = r->weighted ? 1 : -1;
    for (int a = 0; a < r->n_arms; a++) {
        int before = 0;
        double rank = 1;
        for (int b = 0; b < r->n_arms; b++) {
            double ahead = sign * (r->arms[b].score - r->arms[a].score);
            before += ahead > 0 || (ahead == 0 && b < a);
            if (b != a) rank += ahead > 0 ? 1 : ahead == 0 ? 0.5 : 0;
        }
        r->arms[a].rank = rank;
        r->order[before] = a;
    }
}

/* Kendall's tau-b, and the soft one, of a term's means with minus the losses. */
static void agree(ranking *r, int term)
{
    ranking_term *t = &r->terms[term];
    double same = 0, x_pairs = 0, y_pairs = 0, soft = 0;
    ranking_sum x = {0}, y = {0};
    for (int a = 0; a < r->n_arms; a++) {
        double p = value_of_arm(r, a, term)->mean;
        if (isnan(p) || isnan(r->arms[a].loss)) continue;
        add(&x, p);
        add(&y, -r->arms[a].loss);
    }
    t->tau = t->soft_tau = (double)NAN;
    if (x.n < 2 || x.square == 0 || y.square == 0) return;
    double x_unit = sqrt(x.square / x.n), y_unit = sqrt(y.square / y.n);
    for (int a = 0; a < r->n_arms; a++)
        for (int b = 0; b < a; b++) {
            double dx = value_of_arm(r, a, term)->mean - value_of_arm(r, b, term)->mean,
                   dy = r->arms[b].loss - r->arms[a].loss;
            if (isnan(dx) || isnan(dy)) continue;
            same += (dx > 0) - (dx < 0) == 0 || dy == 0 ? 0 : (dx > 0) == (dy > 0) ? 1 : -1;
            x_pairs += dx != 0, y_pairs += dy != 0;
            soft += tanh(dx / x_unit / 4) * tanh(dy / y_unit / 4);
        }
    t->tau = same / sqrt(x_pairs * y_pairs);
    t->soft_tau = soft / (x.n * (x.n - 1) / 2.0);
}

err_code ranking_end(ranking *r, error *err)
{
    close_run(r);
    r->values = calloc((size_t)(r->n_arms + 1) * RANKING_TERMS, sizeof *r->values);
    r->order = calloc((size_t)r->n_arms + 1, sizeof *r->order);
    if (!r->values || !r->order)
        return error_set(err, ERR_MEMORY, "", "not enough memory for the ranking");
    finish_values(r);
    score(r);
    order_arms(r);
    for (int i = 0; i < r->n_terms; i++) agree(r, i);
    return ERR_OK;
}

bool ranking_any(const ranking *r)
{
    for (int i = 0; i < r->n_terms; i++)
        if (r->terms[i].measured) return true;
    return false;
}
