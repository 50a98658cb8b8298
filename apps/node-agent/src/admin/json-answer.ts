/** Answers of `agent.sock` in JSON, and bodies in JSON of those who ask. */
import { MeshError } from '@ambit/core';
import { type AdminResponse, describeError, jsonResponse } from '@ambit/telemetry';
import { AgentError } from '../errors.ts';

/** What `run` returns. 400: the request is wrong and stays so. 503: not now. Errors that are not the mesh's go on. */
export async function jsonAnswer(run: () => Promise<unknown>): Promise<AdminResponse> {
  try {
    return jsonResponse(await run());
  } catch (error) {
    if (!(error instanceof MeshError)) {
      throw error;
    }
    const status = error.retryable ? 503 : 400;
    return jsonResponse({ code: error.code, error: describeError(error) }, status);
  }
}

/** Throws AGENT_POD_INVALID. */
export function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch (error) {
    throw new AgentError('AGENT_POD_INVALID', 'the body is not JSON', {
      retryable: false,
      cause: error,
    });
  }
}
