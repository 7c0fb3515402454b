#include "server/verdict/ranking.h"

#include "server/verdict/ranking_private.h"

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
    r->columns[r->n_terms++] = (ranking_term){.metric = (metric)m, .weight = weight};
    r->n_columns = r->n_terms;
    return ERR_OK;
}

static err_code read_terms(ranking *r, const char *weights, error *err)
{
    err_code code = ERR_OK;
    r->weighted = weights && *weights;
    if (!r->weighted) {
        r->n_terms = r->n_columns = (int)(sizeof borda / sizeof *borda);
        memcpy(r->columns, borda, sizeof borda);
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

/* What the registry says is better. */
static double direction_of(int m)
{
    const char *direction = metric_registry.rows[m]->direction;
    return strcmp(direction, "higher") == 0 ? 1 : strcmp(direction, "lower") == 0 ? -1 : 0;
}

static void add_others(ranking *r)
{
    for (int m = 0; m < METRIC_COUNT; m++)
        if (metric_group_of((metric)m) == GROUP_proxy && !ranking_uses(r, m))
            r->columns[r->n_columns++] =
                (ranking_term){.metric = (metric)m, .weight = direction_of(m)};
}

err_code ranking_new(ranking **out, const char *weights, error *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out) return error_set(err, ERR_MEMORY, "", "not enough memory for the ranking");
    (*out)->at = -1;
    err_code code = read_terms(*out, weights, err);
    if (!code) add_others(*out);
    return code;
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
    free(r->scratch);
    free(r);
}

bool ranking_uses(const ranking *r, int m)
{
    for (int i = 0; i < r->n_columns; i++)
        if ((int)r->columns[i].metric == m) return true;
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
    for (int i = 0; i < r->n_columns; i++) {
        const ranking_cell *c = &r->run[i];
        ranking_sum *sum = &r->sums[r->at * r->n_columns + i];
        double value = c->n_whole ? c->whole : c->n_blocks ? c->blocks / c->n_blocks : (double)NAN;
        if (isfinite(value)) add(sum, value);
        if (!isfinite(value) && !sum->why) sum->why = c->why;
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
    ranking_sum *sums = realloc(r->sums, (size_t)room * (size_t)r->n_columns * sizeof *sums);
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

err_code ranking_run(ranking *r, const char *arm, double parameters, double flops, error *err)
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
        r->arms[at] = (ranking_arm){.arm = copy, .parameters = parameters, .flops = flops};
        memset(&r->sums[at * r->n_columns], 0, (size_t)r->n_columns * sizeof *r->sums);
        r->losses[at] = (ranking_sum){0};
    }
    memset(r->run, 0, sizeof r->run);
    r->run_loss = (double)NAN;
    r->at = at;
    return ERR_OK;
}

void ranking_measure(
    ranking *r, int step, int layer, site where, metric m, double value, reason why)
{
    bool whole = layer == -1, of_block = layer >= 1 && where == SITE_resid_out;
    if (step != 0 || r->at < 0) return;
    for (int i = 0; i < r->n_columns; i++) {
        ranking_cell *c = &r->run[i];
        if (r->columns[i].metric != m) continue;
        if (why && (whole || of_block)) c->why = why, value = (double)NAN;
        if (whole) c->n_whole = 1, c->whole = value;
        if (of_block) c->n_blocks++, c->blocks += value;
        r->columns[i].measured = true;
    }
}

void ranking_loss(ranking *r, double final_loss)
{
    r->run_loss = final_loss;
}

/* --- scores ----------------------------------------------------------------------------------- */

static ranking_value *value_of_arm(const ranking *r, int arm, int column)
{
    return &r->values[arm * r->n_columns + column];
}

static void finish_values(ranking *r)
{
    r->fewest = r->n_arms ? r->arms[0].runs : 0;
    for (int a = 0; a < r->n_arms; a++) {
        for (int i = 0; i < r->n_columns; i++) {
            const ranking_sum *s = &r->sums[a * r->n_columns + i];
            *value_of_arm(r, a, i) =
                (ranking_value){.mean = s->n ? s->mean : (double)NAN,
                                .std = s->n > 1 ? sqrt(s->square / (s->n - 1)) : (double)NAN,
                                .n = s->n,
                                .rank = (double)NAN,
                                .scaled = (double)NAN,
                                .why = s->why};
        }
        r->arms[a].loss = r->losses[a].n ? r->losses[a].mean : (double)NAN;
        if (r->arms[a].runs < r->fewest) r->fewest = r->arms[a].runs;
    }
}

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* How many of n ascending numbers are below x, or not above it. */
static int count_below(const double *v, int n, double x, bool or_equal)
{
    int low = 0;
    while (n > 0) {
        int half = n / 2;
        bool below = or_equal ? v[low + half] <= x : v[low + half] < x;
        low += below ? half + 1 : 0;
        n = below ? n - half - 1 : half;
    }
    return low;
}

/* The less the better; undefined is worst. */
static double cost_of(const ranking *r, int arm, int column)
{
    double mean = value_of_arm(r, arm, column)->mean;
    return isnan(mean) ? (double)INFINITY : r->columns[column].weight > 0 ? -mean : mean;
}

static void rank_column(ranking *r, int column)
{
    for (int a = 0; a < r->n_arms; a++) r->scratch[a] = cost_of(r, a, column);
    qsort(r->scratch, (size_t)r->n_arms, sizeof *r->scratch, by_number);
    for (int a = 0; a < r->n_arms; a++) {
        double cost = cost_of(r, a, column);
        int before = count_below(r->scratch, r->n_arms, cost, false),
            to = count_below(r->scratch, r->n_arms, cost, true);
        value_of_arm(r, a, column)->rank = (before + 1 + to) / 2.0;
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
        if (!r->columns[i].measured) continue;
        measured++;
        if (r->weighted)
            scale_term(r, i);
        else
            rank_column(r, i);
        for (int a = 0; a < r->n_arms; a++) {
            const ranking_value *v = value_of_arm(r, a, i);
            r->arms[a].score += r->weighted ? r->columns[i].weight * v->scaled : v->rank;
        }
    }
    for (int a = 0; a < r->n_arms; a++) {
        if (!measured) r->arms[a].score = (double)NAN;
        if (!r->weighted) r->arms[a].score /= measured;
    }
}

static void order_arms(ranking *r)
{
    double sign = r->weighted ? 1 : -1;
    for (int a = 0; a < r->n_arms; a++) {
        int before = 0;
        double rank = isnan(r->arms[a].score) ? (double)NAN : 1;
        for (int b = 0; b < r->n_arms; b++) {
            double ahead = sign * (r->arms[b].score - r->arms[a].score);
            before += ahead > 0 || (!(ahead < 0) && b < a); /* NaN: none has a score */
            if (b != a) rank += ahead > 0 ? 1 : ahead == 0 ? 0.5 : 0;
        }
        r->arms[a].rank = rank;
        r->order[before] = a;
    }
}

/* Kendall's tau-b, and of terms the soft one, of a column's means, the better the larger, with
 * minus the losses. */
static void agree(ranking *r, int column)
{
    ranking_term *t = &r->columns[column];
    double *x = r->scratch, *y = x + r->n_arms, soft = 0;
    ranking_sum of_x = {0}, of_y = {0};
    int64_t same = 0, x_pairs = 0, y_pairs = 0;
    int n = 0;
    for (int a = 0; a < r->n_arms; a++) {
        double mean = value_of_arm(r, a, column)->mean;
        if (isnan(mean) || isnan(r->arms[a].loss)) continue;
        add(&of_x, x[n] = t->weight < 0 ? -mean : mean);
        add(&of_y, y[n++] = -r->arms[a].loss);
    }
    t->tau = t->soft_tau = (double)NAN;
    if (n < 2 || of_x.square == 0 || of_y.square == 0) return;
    double x_unit = sqrt(of_x.square / n), y_unit = sqrt(of_y.square / n);
    for (int a = 0; a < n; a++)
        for (int b = 0; b < a; b++) {
            double dx = x[a] - x[b], dy = y[a] - y[b];
            int up = (dx > 0) - (dx < 0), down = (dy > 0) - (dy < 0);
            same += up * down, x_pairs += up != 0, y_pairs += down != 0;
            if (column < r->n_terms) soft += tanh(dx / x_unit / 4) * tanh(dy / y_unit / 4);
        }
    t->tau = (double)same / sqrt((double)x_pairs * (double)y_pairs);
    t->soft_tau = soft / ((double)n * (n - 1) / 2);
}

err_code ranking_end(ranking *r, error *err)
{
    close_run(r);
    r->values = calloc((size_t)(r->n_arms + 1) * (size_t)r->n_columns, sizeof *r->values);
    r->order = calloc((size_t)r->n_arms + 1, sizeof *r->order);
    r->scratch = calloc(2 * (size_t)r->n_arms + 1, sizeof *r->scratch);
    if (!r->values || !r->order || !r->scratch)
        return error_set(err, ERR_MEMORY, "", "not enough memory for the ranking");
    finish_values(r);
    score(r);
    order_arms(r);
    for (int i = r->n_terms; i < r->n_columns; i++)
        if (r->columns[i].measured && r->columns[i].weight != 0) rank_column(r, i);
    for (int i = 0; i < r->n_columns; i++) agree(r, i);
    return ERR_OK;
}

bool ranking_any(const ranking *r)
{
    for (int i = 0; i < r->n_terms; i++)
        if (r->columns[i].measured) return true;
    return false;
}
