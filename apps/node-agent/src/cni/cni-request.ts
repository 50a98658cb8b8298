/** What the CNI plugin says to the agent. Parsed once, here: the plugin may be of another version. */
import { isIP } from 'node:net';
import { isAbsolute } from 'node:path';
import { AgentError } from '../errors.ts';
import { isRecord } from '../pods/pod.ts';

/** One interface of one sandbox, as the runtime tells them apart. */
export interface Attachment {
  readonly containerId: string;
  readonly ifname: string;
}

export interface AddRequest extends Attachment {
  readonly network: string;
  readonly namespace: string;
  readonly name: string;
  /** Empty with runtimes that do not tell it. */
  readonly uid: string;
  readonly netns: string;
  readonly ips: readonly string[];
}

export interface CollectRequest {
  readonly network: string;
  readonly attachments: readonly Attachment[];
}

/** RFC 1123 names, which also cannot leave a folder. */
const NAME = /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/;
const UID = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$/;
const CONTAINER_ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,255}$/;
const IFNAME = /^[^\s/:\0]{1,15}$/;
const NETWORK_CHARS_MAX = 253;
const ADDRESSES_MAX = 16;
const ATTACHMENTS_MAX = 10_000;

/** Throws AGENT_POD_INVALID with every problem. */
export function parseAdd(value: unknown): AddRequest {
  const fields = new Fields(value);
  const request: AddRequest = {
    ...attachmentOf(fields),
    network: fields.text('network', (text) => text.length <= NETWORK_CHARS_MAX),
    namespace: fields.text('namespace', (text) => NAME.test(text)),
    name: fields.text('name', (text) => NAME.test(text)),
    uid: fields.text('uid', (text) => text === '' || UID.test(text)),
    netns: fields.text('netns', (text) => isAbsolute(text) && !text.includes('\0')),
    ips: fields.list('ips', ADDRESSES_MAX, (ip) =>
      typeof ip === 'string' && isIP(ip) !== 0 ? ip : undefined,
    ),
  };
  fields.check();
  return request;
}

/** Throws AGENT_POD_INVALID. */
export function parseAttachment(value: unknown): Attachment {
  const fields = new Fields(value);
  const attachment = attachmentOf(fields);
  fields.check();
  return attachment;
}

/** Throws AGENT_POD_INVALID; a list that is missing is never an empty one. */
export function parseCollect(value: unknown): CollectRequest {
  const fields = new Fields(value);
  const request: CollectRequest = {
    network: fields.text('network', (text) => text.length <= NETWORK_CHARS_MAX),
    attachments: fields.list('attachments', ATTACHMENTS_MAX, (entry) => {
      const found = isRecord(entry) ? entry : {};
      const { containerId, ifname } = found;
      return typeof containerId === 'string' && typeof ifname === 'string'
        ? { containerId, ifname }
        : undefined;
    }),
  };
  fields.check();
  return request;
}

function attachmentOf(fields: Fields): Attachment {
  return {
    containerId: fields.text('containerId', (text) => CONTAINER_ID.test(text)),
    ifname: fields.text('ifname', (text) => IFNAME.test(text)),
  };
}

/** Reads fields and collects what is wrong with them. */
class Fields {
  readonly #value: Readonly<Record<string, unknown>>;
  readonly #problems: string[] = [];

  constructor(value: unknown) {
    this.#value = isRecord(value) ? value : {};
    if (!isRecord(value)) {
      this.#problems.push('want an object');
    }
  }

  text(key: string, isValid: (text: string) => boolean): string {
    const found = this.#value[key];
    if (typeof found === 'string' && isValid(found)) {
      return found;
    }
    this.#problems.push(`${key}: found ${JSON.stringify(found)?.slice(0, 80) ?? 'nothing'}`);
    return '';
  }

  list<T>(key: string, max: number, parse: (entry: unknown) => T | undefined): readonly T[] {
    const found = this.#value[key];
    const entries: readonly unknown[] = Array.isArray(found) ? found : [];
    const parsed = entries.flatMap((entry) => {
      const value = parse(entry);
      return value === undefined ? [] : [value];
    });
    if (!Array.isArray(found) || found.length > max || parsed.length !== found.length) {
      this.#problems.push(`${key}: want a list of at most ${max}, each of its form`);
    }
    return parsed;
  }

  check(): void {
    if (this.#problems.length > 0) {
      const text = `not a question of the CNI plugin: ${this.#problems.join('; ')}`;
      throw new AgentError('AGENT_POD_INVALID', text, { retryable: false });
    }
  }
}
