/**
 * What a container runtime hands a CNI plugin, and what it wants back (CNI specification 0.3.1 to 1.1.0).
 *
 * Everything is parsed once, here; whatever does not fit is an error of the specification's own codes. Only Node's
 * own modules: this runs on the host, at the start of each pod.
 */

/** Versions whose results have `interfaces` and `ips` with an index; older ones have another form. */
export const SUPPORTED_VERSIONS = ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const;

/** Of the specification, section 2 and 5. */
export const CNI_CODE = {
  incompatibleVersion: 1,
  invalidEnvironment: 4,
  inputOutput: 5,
  notDecodable: 6,
  invalidConfig: 7,
  tryAgainLater: 11,
  notAvailable: 50,
  /** Ours: the agent will never accept this pod. */
  refused: 100,
} as const;

export class CniError extends Error {
  override readonly name = 'CniError';
  readonly code: number;
  readonly details: string;

  constructor(code: number, message: string, details = '') {
    super(message);
    this.code = code;
    this.details = details;
  }
}

export const COMMANDS = ['ADD', 'DEL', 'CHECK', 'STATUS', 'VERSION', 'GC'] as const;
export type Command = (typeof COMMANDS)[number];

export interface Attachment {
  readonly containerId: string;
  readonly ifname: string;
}

export interface CniInput {
  readonly command: Command;
  readonly containerId: string;
  readonly ifname: string;
  /** Empty where the runtime gives none. */
  readonly netns: string;
  readonly args: ReadonlyMap<string, string>;
  readonly config: PluginConfig;
}

/** The plugin's entry of the conflist, with what the runtime adds. */
export interface PluginConfig {
  readonly cniVersion: string;
  readonly network: string;
  /** Where the agent listens and leaves its list. */
  readonly runDir: string;
  /** Namespaces whose pods may start when nobody knows which namespaces are enrolled. */
  readonly exemptNamespaces: readonly string[];
  /** The agent's own pods, which nothing may hold back: `namespace/prefix-of-its-name`. */
  readonly agentPods: string;
  readonly statusNeedsAgent: boolean;
  readonly prevResult: Readonly<Record<string, unknown>> | undefined;
  readonly validAttachments: readonly Attachment[] | undefined;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** Of the specification: what names a file or an interface must not leave its folder. */
const CONTAINER_ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,255}$/;
/** IFNAMSIZ is 16 with its zero byte. */
const IFNAME = /^[^\s/:\0]{1,15}$/;
const ATTACHMENTS_MAX = 10_000;
const NAMES_MAX = 256;

/** Throws CniError 4, 6 or 7. `VERSION` needs next to nothing. */
export function parseInput(env: Environment, stdin: string): CniInput {
  const command = parseCommand(env);
  const config = parseConfig(stdin, command);
  if (command === 'VERSION' || command === 'STATUS' || command === 'GC') {
    return { command, containerId: '', ifname: '', netns: '', args: new Map(), config };
  }
  const bad: string[] = [];
  const text = (name: string, isValid: (value: string) => boolean): string => {
    const value = env[name] ?? '';
    if (!isValid(value)) {
      bad.push(`${name}=${JSON.stringify(value.slice(0, 80))}`);
    }
    return value;
  };
  const isOptional = command === 'DEL';
  const input: CniInput = {
    command,
    containerId: text('CNI_CONTAINERID', (value) => CONTAINER_ID.test(value)),
    ifname: text('CNI_IFNAME', (value) => IFNAME.test(value) && value !== '.' && value !== '..'),
    netns: text(
      'CNI_NETNS',
      (value) => (value === '' && isOptional) || (value.startsWith('/') && !value.includes('\0')),
    ),
    args: parseArgs(env['CNI_ARGS'] ?? ''),
    config,
  };
  if (bad.length > 0) {
    throw new CniError(CNI_CODE.invalidEnvironment, `invalid environment: ${bad.join(', ')}`);
  }
  return input;
}

function parseCommand(env: Environment): Command {
  const found = env['CNI_COMMAND'] ?? '';
  const command = COMMANDS.find((name) => name === found);
  if (command === undefined) {
    const message = `invalid environment: CNI_COMMAND=${JSON.stringify(found.slice(0, 80))}, want ${COMMANDS.join(', ')}`;
    throw new CniError(CNI_CODE.invalidEnvironment, message);
  }
  return command;
}

/** `FOO=BAR;ABC=123`. What has no `=` is left out: others read their own keys from the same text. */
export function parseArgs(text: string): ReadonlyMap<string, string> {
  return new Map(
    text.split(';').flatMap((pair): readonly (readonly [string, string])[] => {
      const at = pair.indexOf('=');
      return at <= 0 ? [] : [[pair.slice(0, at), pair.slice(at + 1)]];
    }),
  );
}

function parseConfig(stdin: string, command: Command): PluginConfig {
  const value = parseJson(stdin);
  if (!isRecord(value)) {
    throw new CniError(CNI_CODE.notDecodable, 'the network configuration is not a JSON object');
  }
  const cniVersion = value['cniVersion'];
  if (typeof cniVersion !== 'string') {
    throw new CniError(CNI_CODE.invalidConfig, 'the network configuration has no cniVersion');
  }
  const isKnown = SUPPORTED_VERSIONS.some((version) => version === cniVersion);
  if (command !== 'VERSION' && !isKnown) {
    throw new CniError(
      CNI_CODE.incompatibleVersion,
      `cniVersion ${JSON.stringify(cniVersion.slice(0, 40))} is not supported`,
      `want one of ${SUPPORTED_VERSIONS.join(', ')}`,
    );
  }
  const { prevResult } = value;
  if (prevResult !== undefined && prevResult !== null && !isRecord(prevResult)) {
    throw new CniError(CNI_CODE.invalidConfig, 'prevResult is not an object');
  }
  return {
    cniVersion,
    network: textOf(value, 'name', ''),
    runDir: textOf(value, 'runDir', '/var/run/ambit'),
    exemptNamespaces: namesOf(value, 'exemptNamespaces'),
    agentPods: textOf(value, 'agentPods', ''),
    statusNeedsAgent: value['statusNeedsAgent'] === true,
    prevResult: isRecord(prevResult) ? prevResult : undefined,
    // libcni sets both: the first is what the specification said at first.
    validAttachments: parseAttachments(
      value['cni.dev/valid-attachments'] ?? value['cni.dev/attachments'],
    ),
  };
}

function textOf(value: Readonly<Record<string, unknown>>, key: string, fallback: string): string {
  const found = value[key] ?? fallback;
  if (typeof found !== 'string' || found.includes('\0')) {
    throw new CniError(CNI_CODE.invalidConfig, `${key}: want a text`);
  }
  return found;
}

function namesOf(value: Readonly<Record<string, unknown>>, key: string): readonly string[] {
  const found = value[key] ?? [];
  const isList = Array.isArray(found) && found.length <= NAMES_MAX;
  if (!isList || !found.every((name): name is string => typeof name === 'string')) {
    throw new CniError(CNI_CODE.invalidConfig, `${key}: want at most ${NAMES_MAX} names`);
  }
  return found;
}

function parseAttachments(value: unknown): readonly Attachment[] | undefined {
  if (value === undefined || value === null) {
    return undefined;
  }
  if (!Array.isArray(value) || value.length > ATTACHMENTS_MAX) {
    const message = `cni.dev/valid-attachments: want a list of at most ${ATTACHMENTS_MAX}`;
    throw new CniError(CNI_CODE.invalidConfig, message);
  }
  return value.map((entry: unknown) => {
    const containerId = isRecord(entry) ? entry['containerID'] : undefined;
    const ifname = isRecord(entry) ? entry['ifname'] : undefined;
    if (typeof containerId !== 'string' || typeof ifname !== 'string') {
      const message = 'cni.dev/valid-attachments: want containerID and ifname in each';
      throw new CniError(CNI_CODE.invalidConfig, message);
    }
    return { containerId, ifname };
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CniError(CNI_CODE.notDecodable, 'the network configuration is not JSON', why);
  }
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
