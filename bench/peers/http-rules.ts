/**
 * The work of the HTTP comparison, said once for all subjects: 20 routes by path prefix, 20 allow rules on path, method
 * and header, everything else refused. The request under load is the tenth of both.
 */

const COUNT = 20;
const REQUESTED = 10;
export const RULE_HEADER = 'x-team';
/** Host that all requests name. */
export const HTTP_HOST = 'app.mesh.svc.cluster.local';

export interface HttpRule {
  readonly index: number;
  readonly prefix: string;
  readonly method: string;
  readonly headerValue: string;
}

export const HTTP_RULES: readonly HttpRule[] = Array.from({ length: COUNT }, (_, i) => ({
  index: i + 1,
  prefix: `/service-${i + 1}/`,
  method: 'GET',
  headerValue: `team-${i + 1}`,
}));

export const REQUEST_PATH = `/service-${REQUESTED}/items/42`;
export const REQUEST_HEADERS: Readonly<Record<string, string>> = {
  Host: HTTP_HOST,
  [RULE_HEADER]: `team-${REQUESTED}`,
};
/** One that a rule must refuse, to know that a subject enforces them: the right path, another team. */
export const FORBIDDEN_HEADERS: Readonly<Record<string, string>> = {
  Host: HTTP_HOST,
  [RULE_HEADER]: 'team-1',
};
