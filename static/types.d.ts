/* What the type checker (tests/lint) must know that no module says: D3 is a script of its own, and the
 * shapes that the API gives. They are a reader's view of schema/openapi.json, which has every member.
 */
declare const d3: any;

/* GET /api/v1/jobs/{id}, and a row of the list. */
interface Job {
  id: number;
  name: string;
  state: 'queued' | 'running' | 'done' | 'failed' | 'cancelled';
  hash?: string;
  verdict?: Level | null;
  created_at: string;
  started_at?: string | null;
  finished_at?: string | null;
  runs_total: number;
  runs_done: number;
  runs_failed: number;
  progress?: any;
  resolved?: any;
  request?: any;
  coverage?: any;
  notes?: any[];
}

/* A row of GET /api/v1/jobs/{id}/runs. */
interface Run {
  id: number;
  idx: number;
  seed: number;
  arm: Record<string, any>;
  state: Job['state'] | 'skipped';
  verdict?: Level | null;
  sentence?: string | null;
  error?: string | null;
  diverged?: boolean;
  wall_ms?: number | null;
}

type Level = 'pass' | 'warn' | 'fail';

/* The address of the page: #/jobs/3?metric=var */
interface Route {
  parts: string[];
  query: URLSearchParams;
}

/* What a page gives the router: update answers false when it cannot show that route. */
interface View {
  update?: (route: Route) => boolean | void;
  redraw?: () => void;
  destroy?: () => void;
}
