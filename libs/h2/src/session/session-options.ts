/** What both ends of a connection are made with, and what they tell whoever made them. */
import type { Clock, MeshError } from '@ambit/core';
import type { ByteConn } from '@ambit/proxy';
import type { ErrorNumber } from '../frames/protocol.ts';
import type { H2Counters } from './counters.ts';
import type { H2Limits } from './limits.ts';
import type { PeerSettings } from './peer-settings.ts';
import type { KeepAlive } from './pings.ts';
import type { PeerConduct } from './probation.ts';
import type { WindowGrowth } from './window-growth.ts';

export interface Goaway {
  readonly lastStreamId: number;
  readonly code: ErrorNumber;
  /** What the peer says for people; written by the peer, cut. */
  readonly debug: string;
}

export interface SessionOptions {
  /** Connected, with nobody reading it yet; owned from now on. */
  readonly transport: ByteConn;
  readonly clock: Clock;
  readonly limits: H2Limits;
  /** Shared by all sessions that are to be counted together. */
  readonly counters?: H2Counters;
  /** By how much the windows of all sessions may grow. Without: the thread's. */
  readonly growth?: WindowGrowth;
  /** What is known of the peer from sessions before. Without: nothing. */
  readonly conduct?: PeerConduct;
  /** Without: no PING. */
  readonly keepAlive?: KeepAlive;
  /** The peer's SETTINGS came, the first time or again. */
  readonly onSettings?: (settings: Readonly<PeerSettings>) => void;
  /** The peer takes no more streams after the one that it names. */
  readonly onGoaway?: (goaway: Goaway) => void;
  /** Once, when the transport has closed; all streams are over. Without error: in order. */
  readonly onClose?: (error: MeshError | undefined) => void;
}
