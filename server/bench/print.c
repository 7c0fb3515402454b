#include "server/bench/print.h"

#include <math.h>
#include <string.h>

static const char *const pass_labels[PASS_COUNT] = {
    [PASS_PLAIN] = "forward + backward",
    [PASS_STREAM] = "probe: script's metrics, stream only",
    [PASS_SCRIPT] = "probe: script's metrics, branches too",
    [PASS_ALL] = "probe: all defaults",
};

static double gflops(double flops, double ms)
{
    return flops / ms * 1e-6;
}

/* --- text ------------------------------------------------------------------------------------- */

/* A forward product and, behind it in the list, its two of the backward pass. */
static void print_product(FILE *to, const bench_product *p)
{
    fprintf(to, "  %-5s %6.0f x %5d x %5d x %5d ", p->layer, p->count, p->m, p->n, p->k);
    for (int i = 0; i < BENCH_PASSES; i++)
        fprintf(to, "  %s %3.0f", p[i].pass,
                gflops(bench_product_flops(&p[i]), bench_median(&p[i].times, BENCH_CPU)));
    fputc('\n', to);
}

static void print_products(FILE *to, const bench_gemm *g)
{
    fputs("  products, m x n x k of the forward one; GF/s each on its own\n", to);
    for (int i = 0; i < g->n; i += BENCH_PASSES) print_product(to, &g->products[i]);
}

static void print_line(FILE *to, const char *label, double median, double least, double rate)
{
    fprintf(to, "  %-38s %9.2f %9.2f ms %5.0f GF/s", label, median, least, rate);
}

/* Of two wall times, and beside it how much more processor time the team took for the same work. */
static void print_speedup(FILE *to, const bench_times *one, const bench_times *many)
{
    fprintf(to, "  speed-up %.2f (%.2f x the work)",
            bench_median(one, BENCH_WALL) / bench_median(many, BENCH_WALL),
            bench_median(many, BENCH_CPU) / bench_median(one, BENCH_CPU));
}

static void print_team(FILE *to, const bench_job *b, int t)
{
    bench_clock clock = bench_team_clock(t);
    int threads = t == BENCH_ONE ? 1 : b->threads;
    double flops = bench_gemm_flops(&b->gemm);
    double bound = bench_median(&b->gemm.bound, BENCH_CPU) / threads,
           bound_least = bench_least(&b->gemm.bound, BENCH_CPU) / threads,
           plain = bench_median(&b->cells[PASS_PLAIN][t].times, clock);
    char title[64];
    snprintf(title, sizeof title, "%d thread%s, %s time", threads, threads == 1 ? "" : "s",
             clock == BENCH_CPU ? "processor" : "wall");
    fprintf(to, "  %-38s %9s %9s\n", title, "median", "minimum");
    print_line(to, threads == 1 ? "products alone" : "products alone, ideally shared out", bound,
               bound_least, gflops(flops, bound));
    fputc('\n', to);
    for (int pass = 0; pass < PASS_COUNT; pass++) {
        const bench_cell *cell = &b->cells[pass][t];
        double median = bench_median(&cell->times, clock);
        print_line(to, pass_labels[pass], median, bench_least(&cell->times, clock),
                   gflops(flops, median));
        fprintf(to, "  %.2f x %s  %6.1f MB", median / (pass ? plain : bound),
                pass ? "fwd+bwd " : "products", (double)cell->peak_bytes / 1e6);
        if (t == BENCH_TEAM) print_speedup(to, &b->cells[pass][BENCH_ONE].times, &cell->times);
        fputc('\n', to);
    }
}

void bench_print_job(FILE *to, const bench_job *b)
{
    const run_spec *s = &b->specs[PASS_PLAIN];
    fprintf(to, "%s: depth %d, D %d, T %d, B %d, %s, %.2f M parameters, %.1f GFLOP\n",
            *b->name ? b->name : "job", s->depth, s->model.d_model, s->data.seq_len, s->data.batch,
            engine_for(s->precision)->precision, (double)b->parameters * 1e-6,
            bench_gemm_flops(&b->gemm) * 1e-9);
    print_products(to, &b->gemm);
    print_team(to, b, BENCH_ONE);
    if (b->threads > 1) print_team(to, b, BENCH_TEAM);
    fputc('\n', to);
}

void bench_print_depths(FILE *to, const bench_depth d[BENCH_DEPTHS])
{
    fputs("one more block: D 64, T 32, B 2, one thread\n"
          "      from depth to    forward + backward         probe: all defaults\n",
          to);
    for (int i = 1; i < BENCH_DEPTHS; i++) {
        fprintf(to, "  %10d %7d", d[i - 1].depth, d[i].depth);
        for (int p = 0; p < BENCH_DEPTH_PASSES; p++)
            fprintf(to, "  %8.4f ms %8.0f bytes", bench_depth_ms(&d[i - 1], &d[i], p),
                    bench_depth_bytes(&d[i - 1], &d[i], p));
        fputc('\n', to);
    }
}

/* --- JSON ------------------------------------------------------------------------------------- */

static void put_times(json_out *o, const bench_times *t)
{
    json_number_member(o, "cpu_ms", bench_median(t, BENCH_CPU));
    json_number_member(o, "cpu_min_ms", bench_least(t, BENCH_CPU));
    json_number_member(o, "wall_ms", bench_median(t, BENCH_WALL));
    json_number_member(o, "wall_min_ms", bench_least(t, BENCH_WALL));
}

static void put_product(json_out *o, const bench_product *p)
{
    json_begin_object(o);
    json_string_member(o, "layer", p->layer);
    json_string_member(o, "pass", p->pass);
    json_string_member(o, "op", p->op);
    json_number_member(o, "count", p->count);
    json_number_member(o, "m", p->m);
    json_number_member(o, "n", p->n);
    json_number_member(o, "k", p->k);
    put_times(o, &p->times);
    json_number_member(o, "gflops",
                       gflops(bench_product_flops(p), bench_median(&p->times, BENCH_CPU)));
    json_end(o);
}

static void put_pass(json_out *o, const bench_job *b, int pass, int t)
{
    const bench_cell *cell = &b->cells[pass][t];
    json_begin_object(o);
    json_string_member(o, "pass", bench_pass_names[pass]);
    json_number_member(o, "threads", t == BENCH_ONE ? 1 : b->threads);
    put_times(o, &cell->times);
    json_number_member(o, "peak_bytes", (double)cell->peak_bytes);
    json_number_member(o, "measurements", (double)cell->measurements);
    json_end(o);
}

void bench_json_job(json_out *o, const bench_job *b)
{
    json_begin_object(o);
    json_string_member(o, "name", b->name);
    json_number_member(o, "parameters", (double)b->parameters);
    json_number_member(o, "flops", bench_gemm_flops(&b->gemm));
    json_object_member(o, "bound");
    put_times(o, &b->gemm.bound);
    json_end(o);
    json_array_member(o, "passes");
    for (int t = 0; t < (b->threads > 1 ? BENCH_TEAMS : 1); t++)
        for (int pass = 0; pass < PASS_COUNT; pass++) put_pass(o, b, pass, t);
    json_end(o);
    json_array_member(o, "products");
    for (int i = 0; i < b->gemm.n; i++) put_product(o, &b->gemm.products[i]);
    json_end(o);
    json_end(o);
}

void bench_json_depths(json_out *o, const bench_depth d[BENCH_DEPTHS])
{
    json_begin_array(o);
    for (int i = 1; i < BENCH_DEPTHS; i++)
        for (int p = 0; p < BENCH_DEPTH_PASSES; p++) {
            json_begin_object(o);
            json_number_member(o, "from", d[i - 1].depth);
            json_number_member(o, "to", d[i].depth);
            json_string_member(o, "pass", bench_pass_names[bench_depth_passes[p]]);
            json_number_member(o, "ms_per_block", bench_depth_ms(&d[i - 1], &d[i], p));
            json_number_member(o, "bytes_per_block", bench_depth_bytes(&d[i - 1], &d[i], p));
            json_end(o);
        }
    json_end(o);
}
