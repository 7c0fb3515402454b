#include "core/network/strategy.h"

#include <math.h>

double strategy_depth_rule(int rule, int depth, int layer)
{
    int l = layer < 1 ? 1 : layer > depth ? depth : layer;
    switch ((enum spec_depth_rule)rule) {
    case RULE_INV_SQRT_DEPTH:
        return 1 / sqrt((double)depth);
    case RULE_INV_DEPTH:
        return 1 / (double)depth;
    case RULE_INV_SQRT_SUBLAYERS:
        return 1 / sqrt(2.0 * depth);
    case RULE_INV_SQRT_LAYER:
        return 1 / sqrt((double)l);
    case RULE_CONSTANT:
        break;
    }
    return 1;
}

bool strategy_covers(const spec_override *o, int depth, int layer)
{
    if (layer < 1 || layer > depth) return false;
    int third = depth / 3, two_thirds = 2 * depth / 3;
    switch ((enum spec_layers)o->layers) {
    case LAYERS_RANGE:
        return layer >= o->first && layer <= o->last;
    case LAYERS_ALL:
        return true;
    case LAYERS_EARLY:
        return layer <= third;
    case LAYERS_MIDDLE:
        return layer > third && layer <= two_thirds;
    case LAYERS_LATER:
        return layer > two_thirds;
    }
    return false;
}

spec_layer strategy_layer(const run_spec *spec, int layer)
{
    spec_layer s = spec->strategy.layer;
    for (int i = 0; i < spec->strategy.n_overrides; i++) {
        const spec_override *o = &spec->strategy.overrides[i];
        if (!strategy_covers(o, spec->depth, layer)) continue;
        if (o->given & OVERRIDE_NORM) s.norm = o->layer.norm;
        if (o->given & OVERRIDE_EPS) s.eps = o->layer.eps;
        if (o->given & OVERRIDE_AFFINE) s.affine = o->layer.affine;
        if (o->given & OVERRIDE_SIGMA) s.sigma = o->layer.sigma;
        if (o->given & OVERRIDE_RESIDUAL_SCALE) s.residual_scale = o->layer.residual_scale;
    }
    return s;
}

double strategy_residual_scale(const run_spec *spec, int layer)
{
    const spec_strategy *s = &spec->strategy;
    double scale = strategy_layer(spec, layer).residual_scale *
                   strategy_depth_rule(s->residual_rule, spec->depth, layer);
    return s->n_residual_scales ? scale * s->residual_scales[layer - 1] : scale;
}
