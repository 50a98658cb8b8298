/**
 * Who goes through each phase of a request, and in which file. Their names, their order and what each does: `PHASES` of libs/routing.
 *
 * Rule: one with `run` gives a reply to end the request with it, or throws an HttpError; what it has nothing to do for costs it a
 * comparison. A name without a row here is an error of types.
 */
import { PHASES, type PhaseName } from '@ambit/routing';
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

/** Gives a promise only where time has to pass. */
type Run = (
  tx: Transaction,
  context: EngineContext,
) => Reply | undefined | Promise<Reply | undefined>;

export interface PhaseCode {
  /** In this package's `src`. Two where it is done for each version of HTTP by itself. */
  readonly files: readonly string[];
  /** Absent: connection or engine go through it. */
  readonly run?: Run;
}

export const PHASE_CODE: Readonly<Record<PhaseName, PhaseCode>> = {
  accept: { files: ['downstream/sniff.ts'] },
  decode: { files: ['downstream/http1.ts', 'downstream/http2.ts'] },
  admit: { files: ['phases/admit.ts'], run: admit },
  normalise: { files: ['phases/normalise.ts'], run: normalise },
  authenticate: { files: ['phases/authenticate.ts'], run: authenticate },
  authorise: { files: ['phases/authorise.ts'], run: authorise },
  route: { files: ['phases/route.ts'], run: matchRoute },
  cors: { files: ['phases/cors.ts'], run: refuseCors },
  fault: { files: ['phases/fault.ts'], run: injectFault },
  answer: { files: ['phases/answer.ts'], run: answerLocally },
  forward: { files: ['phases/forward.ts'] },
  retry: { files: ['phases/retry.ts'] },
  respond: { files: ['phases/respond.ts'] },
  log: { files: ['phases/log.ts'] },
};

/** Those that run before anything is sent upstream. */
export const REQUEST_PHASES: readonly { readonly name: PhaseName; readonly run: Run }[] =
  PHASES.flatMap(({ name }) => {
    const { run } = PHASE_CODE[name];
    return run === undefined ? [] : [{ name, run }];
  });
