/**
 * Network namespaces: the one place that calls into the kernel by FFI.
 *
 * Rule: whoever enters a namespace leaves it in the same synchronous call. When the way back fails the
 * process ends at once, because no thread may ever work in the wrong namespace.
 */

/** A namespace held open; it lives at least as long as this handle. */
export interface Netns extends Disposable {
  readonly fd: number;
  /** `dev:inode`, the namespace's identity. */
  readonly id: string;
}

export interface TcpListenOptions {
  /** `::` listens for both families (v4-mapped), `0.0.0.0`, `127.0.0.1`, … */
  readonly address: string;
  /** 0 picks one. */
  readonly port: number;
  readonly backlog: number;
  /** SO_MARK. Needs CAP_NET_ADMIN in the namespace's user namespace. */
  readonly mark?: number;
  readonly reusePort: boolean;
  /** IP_TRANSPARENT. */
  readonly transparent: boolean;
}

export interface TcpSocketOptions {
  readonly family: 4 | 6;
  readonly mark?: number;
  /** Bind to this (perhaps foreign) address before connecting, with IP_TRANSPARENT and IP_FREEBIND. */
  readonly sourceAddress?: string;
  /** The source has to be an address of this host; without either option. */
  readonly isSourceOwn?: boolean;
}

export interface UdpBindOptions {
  readonly address: string;
  readonly port: number;
  readonly mark?: number;
  readonly reusePort: boolean;
}

export interface OriginalDestination {
  readonly address: string;
  readonly port: number;
}
