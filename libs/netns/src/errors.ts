/** What can go wrong at the border to the kernel. The code says what was tried, `errno` why it failed. */
import { MeshError } from '@ambit/core';

export type NetnsErrorCode =
  | 'NETNS_OPEN_FAILED'
  | 'NETNS_CREATE_FAILED'
  | 'NETNS_ENTER_FAILED'
  | 'NETNS_ASYNC_BODY'
  | 'NETNS_ADDRESS_INVALID'
  | 'NETNS_SOCKET_FAILED'
  | 'NETNS_BIND_FAILED'
  | 'NETNS_SOURCE_UNAVAILABLE'
  | 'NETNS_COMMAND_FAILED'
  | 'NETNS_NFT_FAILED'
  | 'NETNS_SYSCTL_FAILED';

export interface NetnsErrorOptions {
  /** `EPERM`, `EADDRINUSE`, … where a system call failed. */
  readonly errno?: string | undefined;
  readonly cause?: unknown;
}

export class NetnsError extends MeshError<NetnsErrorCode> {
  override readonly name = 'NetnsError';
  readonly errno: string | undefined;

  constructor(code: NetnsErrorCode, message: string, options: NetnsErrorOptions = {}) {
    super(code, message, { side: 'local', retryable: true, cause: options.cause });
    this.errno = options.errno;
  }
}

/** The `ENOENT` of an error that `node:fs` threw. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined;
}
