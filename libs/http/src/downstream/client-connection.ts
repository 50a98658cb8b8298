/** A client's connection as the engine sees it, whatever is spoken on it. */
import type { MeshError, RosterMember } from '@ambit/core';
import type { Exchange } from '../message.ts';

export interface ClientConnection extends RosterMember {
  /** No further requests after those that the client may have sent when it hears so. Idempotent. */
  leave(): void;
  /** As `leave`, and closes as soon as nothing is in work. Idempotent. */
  drain(): void;
  /** Now. Idempotent. */
  destroy(reason?: MeshError): void;
}

export interface ClientConnectionHost {
  /** A request. Must not throw. */
  onExchange(exchange: Exchange): void;
  /** Something that no exchange came of was refused. */
  onRefused(error: MeshError): void;
  /** Over, or handed over to what was switched to. Once. */
  onClosed(): void;
}
