"""Golden cases of the metrics in measure_more.py."""
import measure_more

STREAM = "embed resid_in attn_branch resid_mid mlp_branch resid_out final_norm param run".split()


def formats(case):
    """Numbers too large and too small for some formats, and attention matrices behind masks."""
    metrics = dict(measure__metrics=measure_more.GROUPS["format"])
    return [
        case("more-format-large", model__embed_scale=3e4, measure__steps=[0, 3],
             measure__sites="embed resid_mid attn_prob logits mlp_act resid_out q run".split(), **metrics),
        case("more-format-small", model__embed_scale=2e-6, model__position="none", strategy__placement="none",
             strategy__norm="none", measure__steps=[0], train__steps=0, model__mask="bidirectional", model__window=2, model__global_every=2,
             measure__sites="embed resid_mid attn_prob mlp_act resid_out run".split(), **metrics),
    ]


def ends(case):
    """The stream leaves all formats but bf16 in its first block, its gradient is gone in fp16 up to the last; and a
    stream so small that its gradient leaves them."""
    layers = ["fp16_grad_flush_layer"] + [f"{f}_overflow_layer" for f in measure_more.FORMATS]
    layers += [f"grad_{f}_overflow_layer" for f in measure_more.FORMATS]
    few = dict(measure__steps=[0], train__steps=0, measure__sites=["embed", "resid_out", "run"],
               measure__metrics=layers, depth=3)
    return [case("more-ends-large", strategy__residual_scale=1e8, **few),
            case("more-ends-small", model__embed_scale=1e-9, model__position="none", strategy__eps=0.0,
                 strategy__residual_scale=1e-5, **few)]


def branches(case):
    def one(name, placement, steps=(0,), **changes):
        return case("more-branch-" + name, strategy__placement=placement, depth=3, measure__steps=list(steps),
                    measure__sites=STREAM, measure__metrics=measure_more.GROUPS["branch"], **changes)

    return [
        one("pre", "pre_ln", (0, 3), model__bias=True),
        one("peri-parallel", "peri_ln", model__parallel=True, strategy__residual_scale=1e-3),
        one("post", "post_ln"),
        one("deepnorm", "deepnorm", model__n_heads=4, model__n_kv_heads=2),
        one("admin", "admin"),
        one("keel", "keel"),
        one("siamese", "siamesenorm"),
        one("ngpt", "ngpt", strategy__norm="none", model__tied=False),
    ]


def outliers(case):
    metrics = dict(measure__metrics=measure_more.GROUPS["outlier"])
    return [
        case("more-outlier", model__bias=True, data__batch=3, measure__steps=[0, 3], model__activation="relu",
             measure__sites="embed resid_in norm1_out q mlp_act mlp_branch resid_mid resid_out lm_logits".split(),
             **metrics),
        # one position and one feature that stand out by far
        case("more-outlier-massive", model__embed_scale=1e4, strategy__placement="none", strategy__norm="none",
             model__position="none", measure__steps=[0], train__steps=0, data__seq_len=1, data__batch=2,
             measure__sites=["embed", "resid_mid", "resid_out"], **metrics),
    ]


def places(case):
    metrics = dict(measure__metrics=measure_more.GROUPS["place"], measure__sites=["embed", "resid_mid", "resid_out"])
    return [case("more-place", model__bias=True, data__batch=3, measure__steps=[0, 3], **metrics)]


def geometry(case):
    metrics = dict(measure__metrics=measure_more.GROUPS["geometry"])
    return [
        case("more-geometry", data__batch=3, data__seq_len=7, measure__steps=[0, 3], model__activation="relu",
             measure__sites="embed norm1_out q mlp_act mlp_branch resid_out lm_logits".split(), **metrics),
        case("more-geometry-one-token", data__seq_len=1, measure__steps=[0], train__steps=0, depth=1,
             measure__sites=["embed", "resid_out"], **metrics),
    ]


def similarities(case):
    def one(name, metrics=measure_more.GROUPS["similarity"], **changes):
        return case("more-similarity-" + name, measure__metrics=metrics,
                    measure__sites=["embed", "resid_in", "resid_out"], **changes)

    return [
        one("pre", depth=4, measure__steps=[0, 3], data__seq_len=9, data__batch=3),
        one("post", depth=3, strategy__placement="post_ln", measure__steps=[0], model__mask="bidirectional",
            data__seq_len=7),
        one("short", measure__steps=[0], data__seq_len=3, train__steps=0),
        one("near", measure__steps=[0], strategy__residual_scale=1e-4, strategy__placement="peri_ln", train__steps=0),
        # more layers than are chosen for the map, more tokens than it looks at
        one("deep", ["cka_prev", "cka_last"], depth=64, model__d_model=4, model__n_heads=1, model__d_ff=4,
            measure__steps=[0], train__steps=0, data__seq_len=6),
        one("long", depth=1, model__d_model=4, model__n_heads=1, model__d_ff=4, measure__steps=[0],
            train__steps=0, data__seq_len=150, data__batch=1),
    ]


def spikes(case):
    metrics = dict(measure__metrics=["loss"] + measure_more.GROUPS["spike"], measure__sites=["run", "resid_out"])
    return [
        case("more-spike", train__steps=14, train__lr=0.05, train__optimizer="sgd", train__clip=None, depth=1,
             measure__steps=[2], **metrics),
        # the rate rises until the loss takes off
        case("more-spike-found", train__steps=11, train__warmup=11, train__lr=3.4, train__optimizer="sgd",
             train__clip=None, depth=1, data__batches=1, model__tied=False, measure__steps=[2], **metrics),
        case("more-spike-short", train__steps=3, depth=1, measure__steps=[0, 3], **metrics),
    ]


def parameters(case):
    """A table and a matrix of more than the 512 rows that are summed at a time, and vectors."""
    return [case("more-parameter", depth=1, model__d_model=4, model__d_ff=6, model__vocab=600, model__bias=True,
                 data__seq_len=9, measure__sites=["resid_out", "param"], measure__metrics=["rms"] + measure_more.GROUPS["parameter"])]


def angles(case):
    def one(name, **changes):
        return case("more-angle" + name, model__d_model=8, model__d_ff=12, data__batch=3, data__seq_len=6, train__steps=0,
                    measure__steps=[0], measure__sites=["resid_out", "run"], measure__metrics=measure_more.GROUPS["angle"],
                    **changes)

    return [
        one("", depth=6),
        one("-collapse", depth=8, strategy__placement="post_ln", model__mask="bidirectional", model__position="none"),
        one("-few", depth=3),
    ]


def all_cases(case):
    return (formats(case) + ends(case) + branches(case) + outliers(case) + places(case) + geometry(case) + similarities(case) + spikes(case)
            + parameters(case) + angles(case))
