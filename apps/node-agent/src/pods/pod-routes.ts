/**
 * The HTTP side of `agent.sock`: what tells the agent about pods (a CNI plugin, the lab).
 *
 * Rule: 200 to a POST means that the pod is safe to start: it is captured, or it is decided that it is not to be.
 */
import { type AdminRoute, jsonResponse } from '@ambit/telemetry';
import { jsonAnswer, parseJson } from '../admin/json-answer.ts';
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
      handle: ({ body }) => jsonAnswer(async () => await put(registry, parseJson(body))),
    },
    {
      method: 'PUT',
      path: `${PREFIX}*`,
      summary: 'labels or annotations of a pod changed',
      handle: ({ path, body }) =>
        jsonAnswer(async () => {
          const uid = uidOf(path);
          const value: unknown = parseJson(body);
          if (!isRecord(value) || value['uid'] !== uid) {
            throw new AgentError('AGENT_POD_INVALID', 'the uid of path and pod differ', {
              retryable: false,
            });
          }
          return await put(registry, value);
        }),
    },
    {
      method: 'DELETE',
      path: `${PREFIX}*`,
      summary: 'a pod is gone',
      handle: ({ path }) =>
        jsonAnswer(async () => {
          await registry.remove(uidOf(path));
          return {};
        }),
    },
  ];
}

async function put(registry: PodRegistry, pod: unknown): Promise<{ readonly captured: boolean }> {
  return { captured: await registry.put(parsePod(pod), ANSWER_MS) };
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
