/** A method match of a GRPCRoute as what a request shows of it: the path `/package.Service/Method`. */
import type { GrpcMethodMatch, HttpRouteMatch } from '../types/gateway.ts';

/** One or more characters of one part of the path. */
const ANY = '[^/]+';

/** Every method for an absent match, and for a part of it that is absent. */
export function grpcMethodPath(match: GrpcMethodMatch | undefined): HttpRouteMatch['path'] {
  const { type = 'Exact', service = '', method = '' } = match ?? {};
  if (service === '' && method === '') return { type: 'PathPrefix', value: '/' };
  if (type === 'RegularExpression') {
    const part = (pattern: string): string => (pattern === '' ? ANY : `(?:${pattern})`);
    return { type, value: `/${part(service)}/${part(method)}` };
  }
  if (method === '') return { type: 'PathPrefix', value: `/${service}/` };
  // Names of methods have no character that means something in a pattern; that is a rule.
  if (service === '') return { type: 'RegularExpression', value: `/${ANY}/${method}` };
  return { type: 'Exact', value: `/${service}/${method}` };
}
