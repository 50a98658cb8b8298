/**
 * The HTTP side of `agent.sock`: what tells the agent about pods (a CNI plugin, the lab).
 *
 * Rule: 200 to a POST means that the pod is safe to start: it is captured, or it is decided that it is not to be.
 */
import { MeshError } from '@ambit/core';
import { type AdminResponse, type AdminRoute, describeError, jsonResponse } from '@ambit/telemetry';
import { AgentError } from '../errors.ts';
import { isRecord, parsePod } from './pod.ts';
import type { PodRegistry } from './pod-registry.ts';

/** Less than the callers wait (10 s), so that they hear the reason. */
const ANSWER_MS = 8_000;
const PREFIX = '/v1/pods/';

export function podRoutes(registry: PodRegistry): readonly AdminRoute[] {
  return [
    {
      method: 'GET',
      path: '/v1/pods',
      summary: 'pods of this node and their capture',
      handle: () => jsonResponse(registry.rows),
    },
    {
      method: 'POST',
      path: '/v1/pods',
      summary: 'a pod is about to start; answers when it may',
      handle: ({ body }) => answer(() => put(registry, body)),
    },
    {
      method: 'PUT',
      path: `${PREFIX}*`,
      summary: 'labels or annotations of a pod changed',
      handle: ({ path, body }) =>
        answer(async () => {
          const uid = uidOf(path);
          const value: unknown = parseJson(body);
          if (!isRecord(value) || value['uid'] !== uid) {
            throw new AgentError('AGENT_POD_INVALID', 'the uid of path and pod differ', {
              retryable: false,
            });
          }
          return await put(registry, body);
        }),
    },
    {
      method: 'DELETE',
      path: `${PREFIX}*`,
      summary: 'a pod is gone',
      handle: ({ path }) =>
        answer(async () => {
          await registry.remove(uidOf(path));
          return jsonResponse({});
        }),
    },
  ];
}

async function put(registry: PodRegistry, body: string): Promise<AdminResponse> {
  const captured = await registry.put(parsePod(parseJson(body)), ANSWER_MS);
  return jsonResponse({ captured });
}

/** 400: the request is wrong and stays so. 503: not now. */
async function answer(run: () => Promise<AdminResponse>): Promise<AdminResponse> {
  try {
    return await run();
  } catch (error) {
    if (!(error instanceof MeshError)) {
      throw error;
    }
    const status = error.retryable ? 503 : 400;
    return jsonResponse({ code: error.code, error: describeError(error) }, status);
  }
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch (error) {
    throw new AgentError('AGENT_POD_INVALID', 'the body is not JSON', {
      retryable: false,
      cause: error,
    });
  }
}

function uidOf(path: string): string {
  try {
    return decodeURIComponent(path.slice(PREFIX.length));
  } catch (error) {
    throw new AgentError('AGENT_POD_INVALID', 'the uid is not readable', {
      retryable: false,
      cause: error,
    });
  }
}
