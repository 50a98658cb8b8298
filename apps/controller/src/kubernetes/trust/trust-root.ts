/** The roots that others are told of, as the parts that tell them see the CA; a CertificateAuthority is one. */
export interface TrustRoot {
  /** False: there are none yet. */
  readonly isOpen: boolean;
  /** PEM; while roots rotate, both. */
  readonly rootBundlePem: string;
  /** Revocation lists of the mesh's CAs; undefined: nothing is said of them. */
  readonly crlPem?: string | undefined;
  /** `listener` is called after every change, until the returned function is. */
  readonly onChange: (listener: () => void) => () => void;
}
