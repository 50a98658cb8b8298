/**
 * The phases of a request, in order, with the names that logs (`phase`), documents and explanations use.
 *
 * Rule: nothing is sent upstream before every policy was evaluated for the real caller. A phase with `run` gives a reply to end
 * the request with it, or throws an HttpError; what it has nothing to do for costs it a comparison.
 */
import type { Reply } from '../local-reply.ts';
import type { EngineContext, Transaction } from '../transaction.ts';
import { admit } from './admit.ts';
import { answerLocally } from './answer.ts';
import { authenticate } from './authenticate.ts';
import { authorise } from './authorise.ts';
import { refuseCors } from './cors.ts';
import { injectFault } from './fault.ts';
import { normalise } from './normalise.ts';
import { matchRoute } from './route.ts';

export type PhaseName =
  | 'accept'
  | 'decode'
  | 'admit'
  | 'normalise'
  | 'authenticate'
  | 'authorise'
  | 'route'
  | 'cors'
  | 'fault'
  | 'answer'
  | 'forward'
  | 'retry'
  | 'respond'
  | 'log';

export interface Phase {
  readonly name: PhaseName;
  /** For people. */
  readonly does: string;
  /** Absent: the engine itself goes through it. A promise only where time has to pass. */
  readonly run?: (
    tx: Transaction,
    context: EngineContext,
  ) => Reply | undefined | Promise<Reply | undefined>;
}

export const PHASES: readonly Phase[] = [
  { name: 'accept', does: 'takes a tunnel and tells HTTP from other bytes' },
  { name: 'decode', does: 'reads a request, or refuses what could be read in two ways' },
  { name: 'admit', does: 'refuses beyond the number of requests in work', run: admit },
  { name: 'normalise', does: 'gives host and path their one spelling', run: normalise },
  {
    name: 'authenticate',
    does: 'lets the tunnel alone say who calls, and takes out what the request says of it',
    run: authenticate,
  },
  { name: 'authorise', does: 'evaluates every policy for the real caller', run: authorise },
  { name: 'route', does: 'finds the rule for the request', run: matchRoute },
  { name: 'cors', does: 'refuses a preflight that a rule wants answered', run: refuseCors },
  { name: 'fault', does: 'delays and aborts as the rule says', run: injectFault },
  { name: 'answer', does: 'redirects and answers that need no upstream', run: answerLocally },
  { name: 'forward', does: 'picks an endpoint, asks its policies, and sends the request there' },
  { name: 'retry', does: 'sends it again where that is allowed' },
  { name: 'respond', does: 'gives the upstream’s answer to the client' },
  { name: 'log', does: 'writes what happened to log and metrics' },
];

/** Those that run before anything is sent upstream. */
export const REQUEST_PHASES = PHASES.filter(
  (phase): phase is Phase & Required<Pick<Phase, 'run'>> => phase.run !== undefined,
);
