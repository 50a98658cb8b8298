/** What makes two callers share a tunnel. */
export interface TunnelKey {
  /** `spiffe://…` of the pod that asks. */
  readonly sourceIdentity: string;
  /** Any of them must be the server's. Order does not matter; empty fails. */
  readonly expectedIdentities: readonly string[];
  /** Canonical text. */
  readonly address: string;
  readonly port: number;
  /** uid of the pod that asks: its sockets live in its namespace. */
  readonly sourcePod: string;
  /** uid of the workload that has the address; whoever has it next is another. Absent where nobody known has it. */
  readonly endpoint?: string;
}

/** No field can hold a line break: identities, addresses and uids are validated where they come from. */
export function keyText(key: TunnelKey): string {
  const expected = [...key.expectedIdentities].sort();
  const { sourcePod, sourceIdentity, address, port, endpoint = '' } = key;
  return [sourcePod, sourceIdentity, address, port, endpoint, ...expected].join('\n');
}
