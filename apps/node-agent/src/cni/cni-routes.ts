/**
 * The HTTP side of `agent.sock` for the CNI plugin.
 *
 * 200 to `add` means that the pod may start. 503: not now, ask again; 400: the question is wrong and stays so. An
 * answer of the agent is final for the plugin: only silence lets it decide by itself.
 */
import { type AdminRoute, jsonResponse } from '@ambit/telemetry';
import { jsonAnswer, parseJson } from '../admin/json-answer.ts';
import type { CniPods } from './cni-pods.ts';
import { parseAdd, parseAttachment, parseCollect } from './cni-request.ts';

export function cniRoutes(pods: CniPods): readonly AdminRoute[] {
  return [
    post(
      '/v1/cni/add',
      'a pod is about to start; answers when it may',
      async (body) => await pods.add(parseAdd(body)),
    ),
    post('/v1/cni/del', 'an attachment of a pod is gone', async (body) => {
      await pods.del(parseAttachment(body));
      return {};
    }),
    post('/v1/cni/check', 'whether a pod is captured that should be', async (body) => {
      pods.check(parseAttachment(body));
      return {};
    }),
    post('/v1/cni/gc', 'the attachments that are left', async (body) => ({
      removed: await pods.collect(parseCollect(body)),
    })),
    {
      method: 'GET',
      path: '/v1/cni/status',
      summary: 'whether pods can be added',
      handle: () => jsonResponse({ ready: true }),
    },
  ];
}

function post(
  path: string,
  summary: string,
  answer: (body: unknown) => Promise<unknown>,
): AdminRoute {
  return {
    method: 'POST',
    path,
    summary,
    handle: ({ body }) => jsonAnswer(async () => await answer(parseJson(body))),
  };
}
