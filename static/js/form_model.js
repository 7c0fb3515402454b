/* The job that the form edits, as the JSON object that will be sent. Fields that are not in it have
 * their default. Paths are those of the field table: "model.n_heads", "depth". Where a group is written
 * short ("strategy": "pre_ln"), the path of its shorthand field reads and writes that value. */

const isObject = (v) => v !== null && typeof v === 'object' && !Array.isArray(v);

/* shorthands: {model: "preset", strategy: "name", …}; order: names at top level. */
export function jobModel(shorthands, order) {
  const split = (path) => {
    const at = path.indexOf('.');
    return at < 0 ? [path, ''] : [path.slice(0, at), path.slice(at + 1)];
  };

  const read = (job, path) => {
    const [group, leaf] = split(path);
    const value = job[group];
    if (!leaf) return value;
    if (isObject(value)) return value[leaf];
    return leaf === shorthands[group] ? value : undefined;
  };

  const sorted = (job) => {
    const rank = (k) => (order.indexOf(k) < 0 ? order.length : order.indexOf(k));
    return Object.fromEntries(Object.entries(job).sort((a, b) => rank(a[0]) - rank(b[0])));
  };

  /* value undefined removes the field. */
  const write = (job, path, value) => {
    const [group, leaf] = split(path);
    const next = { ...job };
    if (!leaf) {
      if (value === undefined) delete next[group];
      else next[group] = value;
      return sorted(next);
    }
    const short = shorthands[group];
    const old = next[group];
    const object = isObject(old) ? { ...old } : old === undefined || !short ? {} : { [short]: old };
    if (value === undefined) delete object[leaf];
    else object[leaf] = value;
    const keys = Object.keys(object);
    if (!keys.length) delete next[group];
    else if (keys.length === 1 && keys[0] === short) next[group] = object[short];
    else next[group] = object;
    return sorted(next);
  };

  const sweepKey = (job, path) => {
    const sweep = isObject(job.sweep) ? job.sweep : {};
    if (path in sweep) return path;
    const [group, leaf] = split(path);
    const short = leaf && leaf === shorthands[group] && group in sweep;
    return short && Array.isArray(sweep[group]) && !sweep[group].some(isObject) ? group : null;
  };

  const readSweep = (job, path) => {
    const key = sweepKey(job, path);
    return key ? job.sweep[key] : undefined;
  };

  /* A list makes a sweep of it and takes the single value away; undefined ends the sweep. */
  const writeSweep = (job, path, list) => {
    const key = sweepKey(job, path);
    const sweep = { ...(isObject(job.sweep) ? job.sweep : {}) };
    const [group, leaf] = split(path);
    let next = job;
    if (list === undefined) {
      if (key) delete sweep[key];
    } else {
      next = write(job, path, undefined);
      const bare = leaf && leaf === shorthands[group] && next[group] === undefined ? group : path;
      sweep[key && (key !== group || bare === group) ? key : bare] = list;
    }
    next = { ...next, sweep };
    if (!Object.keys(sweep).length) delete next.sweep;
    return sorted(next);
  };

  /* The field a JSON Pointer of the server means: "/sweep/depth/2" -> "depth", "/model" -> "model.preset". */
  const pathOf = (pointer) => {
    const parts = String(pointer || '').split('/').slice(1).map((p) => p.replace(/~1/g, '/').replace(/~0/g, '~'));
    if (!parts.length) return null;
    if (parts[0] === 'sweep') {
      if (!parts[1]) return 'sweep';
      if (parts[1].includes('.')) return parts[1];
      const inner = parts[3] && Number.isNaN(Number(parts[3])) ? parts[3] : shorthands[parts[1]];
      return inner ? `${parts[1]}.${inner}` : parts[1];
    }
    if (!(parts[0] in shorthands)) return parts[0];
    const leaf = parts[1] !== undefined && Number.isNaN(Number(parts[1])) ? parts[1] : shorthands[parts[0]];
    return leaf ? `${parts[0]}.${leaf}` : parts[0];
  };

  return { read, write, readSweep, writeSweep, pathOf };
}

/* "6, 12, 24" as values. What is not a number stays text, for the server to say what is wrong with it. */
export function parseList(text) {
  return text.split(',').map((t) => t.trim()).filter(Boolean).map(parseOne);
}

export function parseOne(text) {
  const t = text.trim();
  if (t === 'null') return null;
  if (t === 'true') return true;
  if (t === 'false') return false;
  return t !== '' && Number.isFinite(Number(t)) ? Number(t) : t;
}
