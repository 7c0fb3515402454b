#include "core/engine.h"

const engine *engine_for(int precision)
{
    return precision == PRECISION_FLOAT64 ? &engine_f64 : &engine_f32;
}
