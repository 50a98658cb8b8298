/** Errors of the agent's control side. The code is stable: it is in metrics, logs and answers to the caller. */
import { type ErrorSide, MeshError } from '@ambit/core';

export type AgentErrorCode =
  | 'AGENT_CONFIG_INVALID'
  | 'AGENT_POD_INVALID'
  | 'AGENT_POD_LIMIT'
  | 'AGENT_POD_OWN_NETNS'
  | 'AGENT_POD_NETNS_TAKEN'
  | 'AGENT_CAPTURE_FAILED'
  | 'AGENT_CAPTURE_TIMEOUT'
  | 'AGENT_ENROLMENT_UNKNOWN'
  | 'AGENT_WORKER_FAILED'
  | 'AGENT_WORKER_SILENT'
  | 'AGENT_STOPPED'
  | 'AGENT_SUPERSEDED';

export interface AgentErrorOptions {
  readonly side?: ErrorSide;
  readonly retryable?: boolean;
  readonly cause?: unknown;
}

export class AgentError extends MeshError<AgentErrorCode> {
  override readonly name = 'AgentError';

  constructor(code: AgentErrorCode, message: string, options: AgentErrorOptions = {}) {
    super(code, message, {
      side: options.side ?? 'local',
      retryable: options.retryable ?? true,
      cause: options.cause,
    });
  }
}

/** What an agent answers that another one on its node has taken over from. */
export function superseded(): AgentError {
  return new AgentError('AGENT_SUPERSEDED', 'another agent has taken over this node');
}
