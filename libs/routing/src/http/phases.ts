/**
 * The phases of a request at a waypoint, in order: the one table by which its engine goes, and whose names stand in its log and
 * metrics, in what `meshctl why` says, and in documents.
 *
 * Rule: nothing is sent upstream before every policy was evaluated for the real caller. None of them limits rates, because no object
 * asks for that yet: `admit` and `forward` bound what is in work at a time, not what comes within one.
 */
export const PHASES = [
  { name: 'accept', does: 'takes a tunnel and tells HTTP from other bytes' },
  { name: 'decode', does: 'reads a request, or refuses what could be read in two ways' },
  { name: 'admit', does: 'refuses beyond the number of requests in work' },
  { name: 'normalise', does: 'gives host and path their one spelling' },
  {
    name: 'authenticate',
    does: 'lets the tunnel alone say who calls, and takes out what the request says of it',
  },
  { name: 'authorise', does: 'evaluates every policy for the real caller' },
  { name: 'route', does: 'finds the rule for the request' },
  { name: 'cors', does: 'refuses a preflight that a rule wants answered' },
  { name: 'fault', does: 'delays and aborts as the rule says' },
  { name: 'answer', does: 'redirects and answers that need no upstream' },
  { name: 'forward', does: 'picks an endpoint, asks its policies, and sends the request there' },
  { name: 'retry', does: 'sends it again where that is allowed' },
  { name: 'respond', does: 'gives the upstream’s answer to the client' },
  { name: 'log', does: 'writes what happened to log and metrics' },
] as const;

export type PhaseName = (typeof PHASES)[number]['name'];
