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

export function httpRules(count: number): readonly HttpRule[] {
  return Array.from({ length: count }, (_, i) => ({
    index: i + 1,
    prefix: `/service-${i + 1}/`,
    method: 'GET',
    headerValue: `team-${i + 1}`,
  }));
}

export const HTTP_RULES: readonly HttpRule[] = httpRules(COUNT);

/** As many rules for any number of routes: those around the one that is asked for. */
export function allowRules(count: number): readonly HttpRule[] {
  const middle = count / 2;
  return httpRules(count).slice(middle - REQUESTED, middle - REQUESTED + COUNT);
}

/** Of the measurement with many routes; the request matches the middle one, as with few. */
export const MANY_ROUTES = 2_000;
export const MANY_HOST = 'many.mesh.svc.cluster.local';

export interface HttpRequest {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

function requestOf(index: number, host: string): HttpRequest {
  return {
    path: `/service-${index}/items/42`,
    headers: { Host: host, [RULE_HEADER]: `team-${index}` },
  };
}

export const REQUEST = requestOf(REQUESTED, HTTP_HOST);
export const MANY_REQUEST = requestOf(MANY_ROUTES / 2, MANY_HOST);
/** One that a rule must refuse, to know that a subject enforces them: the right path, another team. */
export function forbidden({ headers }: HttpRequest): Readonly<Record<string, string>> {
  return { ...headers, [RULE_HEADER]: 'team-1' };
}
