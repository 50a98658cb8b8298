/** GET over a unix socket, as the mesh's programs offer their state on this machine. */
import { request } from 'node:http';

const ANSWER_TIMEOUT_MS = 10_000;

/** The JSON of the answer, or its text where it is none. Rejects when nobody answers. */
export async function unixGet(
  socketPath: string,
  path: string,
  timeoutMs = ANSWER_TIMEOUT_MS,
): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const signal = AbortSignal.timeout(timeoutMs);
  const outgoing = request({ socketPath, path, signal }, (response) => {
    let text = '';
    response.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    response.on('end', () => resolve(text));
    response.on('error', reject);
  });
  outgoing.on('error', reject);
  outgoing.end();
  const text = await promise;
  try {
    return JSON.parse(text);
  } catch {
    // Metrics and the like are text.
    return text;
  }
}
