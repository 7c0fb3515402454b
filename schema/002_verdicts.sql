-- States of runs are now: queued, running, done, failed, cancelled, skipped.
-- Verdicts: what the rules say of each run, of each arm of a job, and of the job.
-- Runs have one more state: skipped, of a job that looks for a depth, when the outcome of another run
-- has made it unnecessary.

-- A CHECK can only be changed in the text of the schema: sqlite.org/lang_altertable.html, section 7.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, '''failed'', ''cancelled'')', '''failed'', ''cancelled'', ''skipped'')')
WHERE type = 'table' AND name = 'runs';
PRAGMA writable_schema = RESET;

-- The rules by which runs were judged, one row per rule and version.
CREATE TABLE rules (
  name TEXT NOT NULL,
  version INTEGER NOT NULL,              -- runs.rules_version
  ord INTEGER NOT NULL,
  summary TEXT NOT NULL,
  metric TEXT NOT NULL,
  comparison TEXT NOT NULL,              -- of the value with warn and fail: at most, at least
  warn REAL,                             -- the last value that is still good; NULL: there is no warning
  fail REAL,                             -- the last value that is no failure; NULL: there is none
  source TEXT NOT NULL,                  -- where the thresholds come from
  PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID;

-- One row per run and rule; rules of the job's own ("expect") are called expect/0, expect/1, …
CREATE TABLE verdicts (
  run_id INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  ord INTEGER NOT NULL,
  rule TEXT NOT NULL,
  verdict TEXT CHECK (verdict IN ('pass', 'warn', 'fail')), -- NULL: not judged
  why TEXT,                              -- then the reason
  value REAL,
  comparison TEXT,
  threshold REAL,
  metric TEXT,
  site TEXT,                             -- NULL: all sites
  step INTEGER,
  layer INTEGER,                         -- the first that is beyond
  worst_layer INTEGER,                   -- that of the value
  factor REAL,                           -- growth per block
  aside REAL,                            -- gradient rules: grad_token_corr there
  says TEXT NOT NULL,
  PRIMARY KEY (run_id, ord)
) STRICT, WITHOUT ROWID;

ALTER TABLE runs ADD COLUMN verdict TEXT CHECK (verdict IN ('pass', 'warn', 'fail'));
ALTER TABLE runs ADD COLUMN sentence TEXT;
ALTER TABLE runs ADD COLUMN rules_version INTEGER;

ALTER TABLE jobs ADD COLUMN verdict TEXT CHECK (verdict IN ('pass', 'warn', 'fail'));
ALTER TABLE jobs ADD COLUMN sentence TEXT;
ALTER TABLE jobs ADD COLUMN verdict_json TEXT; -- all of it, when the job has ended: schema/verdict.json
ALTER TABLE jobs ADD COLUMN differs TEXT;      -- JSON: pointers of the fields in which its arms differ

-- One row per arm of a job that has ended: its seeds together.
CREATE TABLE arms (
  job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  idx INTEGER NOT NULL,                  -- order in the job
  arm TEXT NOT NULL,                     -- as runs.arm
  depth INTEGER NOT NULL,
  rank INTEGER,                          -- 1: the best; NULL: not judged
  verdict TEXT CHECK (verdict IN ('pass', 'warn', 'fail')),
  sentence TEXT NOT NULL,
  confidence REAL,                       -- NULL: one seed
  seeds INTEGER NOT NULL,                -- runs that were judged
  PRIMARY KEY (job_id, idx)
) STRICT, WITHOUT ROWID;

-- Every judgement with its names.
CREATE VIEW v_verdicts AS
SELECT r.job_id, v.run_id, r.arm, r.seed, r.placement, r.norm, r.depth, v.rule, v.verdict, v.value,
       v.comparison, v.threshold, v.metric, v.site, v.step, v.layer, v.says, x.source, r.rules_version
FROM verdicts v
JOIN runs r ON r.id = v.run_id
LEFT JOIN rules x ON x.name = v.rule AND x.version = r.rules_version;

-- v_runs with its verdict.
DROP VIEW v_runs;
CREATE VIEW v_runs AS
SELECT r.job_id, r.id AS run_id, r.idx, r.state, r.arm, r.seed, r.placement, r.norm, r.depth,
       r.d_model, r.n_heads, r.seq_len, r.batch, r.init, r.precision, r.steps, r.parameters,
       r.wall_ms, r.verdict, r.sentence,
       (SELECT value FROM measurements INDEXED BY measurements_scalar
         WHERE layer = -1 AND run_id = r.id AND metric_id =
         (SELECT id FROM metrics WHERE name = 'var_growth') ORDER BY step LIMIT 1) AS var_growth,
       CASE (SELECT value FROM measurements INDEXED BY measurements_scalar
         WHERE layer = -1 AND run_id = r.id AND metric_id =
         (SELECT id FROM metrics WHERE name = 'var_growth_law') ORDER BY step LIMIT 1)
         WHEN 0 THEN 'flat' WHEN 1 THEN 'linear' WHEN 2 THEN 'exponential' WHEN 3 THEN 'power' END AS var_law,
       (SELECT value FROM measurements INDEXED BY measurements_scalar
         WHERE layer = -1 AND run_id = r.id AND metric_id =
         (SELECT id FROM metrics WHERE name = 'grad_growth') ORDER BY step LIMIT 1) AS grad_growth,
       CASE (SELECT value FROM measurements INDEXED BY measurements_scalar
         WHERE layer = -1 AND run_id = r.id AND metric_id =
         (SELECT id FROM metrics WHERE name = 'grad_growth_law') ORDER BY step LIMIT 1)
         WHEN 0 THEN 'flat' WHEN 1 THEN 'linear' WHEN 2 THEN 'exponential' WHEN 3 THEN 'power' END AS grad_law,
       (SELECT value FROM measurements INDEXED BY measurements_scalar
         WHERE layer = -1 AND run_id = r.id AND metric_id =
         (SELECT id FROM metrics WHERE name = 'var_growth') ORDER BY step DESC LIMIT 1) AS var_growth_end,
       CASE (SELECT value FROM measurements INDEXED BY measurements_scalar
         WHERE layer = -1 AND run_id = r.id AND metric_id =
         (SELECT id FROM metrics WHERE name = 'var_growth_law') ORDER BY step DESC LIMIT 1)
         WHEN 0 THEN 'flat' WHEN 1 THEN 'linear' WHEN 2 THEN 'exponential' WHEN 3 THEN 'power' END AS var_law_end,
       (SELECT value FROM measurements INDEXED BY measurements_scalar
         WHERE layer = -1 AND run_id = r.id AND metric_id =
         (SELECT id FROM metrics WHERE name = 'grad_growth') ORDER BY step DESC LIMIT 1) AS grad_growth_end,
       CASE (SELECT value FROM measurements INDEXED BY measurements_scalar
         WHERE layer = -1 AND run_id = r.id AND metric_id =
         (SELECT id FROM metrics WHERE name = 'grad_growth_law') ORDER BY step DESC LIMIT 1)
         WHEN 0 THEN 'flat' WHEN 1 THEN 'linear' WHEN 2 THEN 'exponential' WHEN 3 THEN 'power' END AS grad_law_end,
       (SELECT loss FROM steps WHERE run_id = r.id ORDER BY step LIMIT 1) AS first_loss,
       (SELECT loss FROM steps WHERE run_id = r.id ORDER BY step DESC LIMIT 1) AS final_loss,
       r.diverged, r.diverged_step, r.diverged_layer, r.diverged_site, r.error_json
FROM runs r;
