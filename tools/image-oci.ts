/**
 * Container images as files: an OCI layout (a folder, several platforms behind one index) and a docker-archive (a tar that
 * `docker load`, `ctr images import` and `kind load image-archive` read). The same input gives the same bytes.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Arch } from './image-debian.ts';
import type { Layer } from './image-files.ts';
import { type FileEntry, writeTar } from './image-tar.ts';

const compress = promisify(gzip);
const GZIP_LEVEL = 6;
const OCI = 'application/vnd.oci.image';
export const PLATFORM: Readonly<Record<Arch, string>> = { x64: 'amd64', arm64: 'arm64' };

export interface ImageSettings {
  readonly user: string;
  readonly entrypoint: readonly string[];
  readonly env: readonly string[];
  readonly ports: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** Default: the root. */
  readonly workingDir?: string;
  /** Seconds since 1970: the time of every file and of the image. */
  readonly epoch: number;
}

export interface PackedLayer {
  readonly comment: string;
  readonly tar: Buffer;
  readonly diffId: string;
  readonly gzip: Buffer;
}

export interface Image {
  readonly arch: Arch;
  readonly config: Buffer;
  readonly manifest: Buffer;
  readonly layers: readonly PackedLayer[];
}

export function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

export async function packLayer({ comment, files }: Layer, epoch: number): Promise<PackedLayer> {
  const tar = await writeTar(files, epoch);
  return { comment, tar, diffId: digestOf(tar), gzip: await compress(tar, { level: GZIP_LEVEL }) };
}

export function makeImage(
  arch: Arch,
  layers: readonly PackedLayer[],
  settings: ImageSettings,
): Image {
  const config = json(configOf(arch, layers, settings));
  const manifest = json({
    schemaVersion: 2,
    mediaType: `${OCI}.manifest.v1+json`,
    config: descriptor(`${OCI}.config.v1+json`, config),
    layers: layers.map((layer) => descriptor(`${OCI}.layer.v1.tar+gzip`, layer.gzip)),
    annotations: settings.labels,
  });
  return { arch, config, manifest, layers };
}

function configOf(arch: Arch, layers: readonly PackedLayer[], settings: ImageSettings): object {
  const created = new Date(settings.epoch * 1_000).toISOString().replace('.000Z', 'Z');
  return {
    created,
    architecture: PLATFORM[arch],
    os: 'linux',
    config: {
      User: settings.user,
      ExposedPorts: Object.fromEntries(settings.ports.map((port) => [port, {}])),
      Env: settings.env,
      Entrypoint: settings.entrypoint,
      WorkingDir: settings.workingDir ?? '/',
      Labels: settings.labels,
      StopSignal: 'SIGTERM',
    },
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    history: layers.map(({ comment }) => ({ created, created_by: 'tools/image.ts', comment })),
  };
}

function json(value: object): Buffer {
  return Buffer.from(JSON.stringify(value));
}

function descriptor(mediaType: string, bytes: Buffer): object {
  return { mediaType, digest: digestOf(bytes), size: bytes.length };
}

/** Rewrites `folder`, and returns the digest of the index, which names every platform's image. */
export function writeLayout(folder: string, images: readonly Image[], name: string): string {
  const blobs = join(folder, 'blobs', 'sha256');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(blobs, { recursive: true });
  const store = (bytes: Buffer): void =>
    writeFileSync(join(blobs, digestOf(bytes).slice('sha256:'.length)), bytes);
  const index = json({
    schemaVersion: 2,
    mediaType: `${OCI}.index.v1+json`,
    manifests: images.map(({ arch, manifest }) => ({
      ...descriptor(`${OCI}.manifest.v1+json`, manifest),
      platform: { architecture: PLATFORM[arch], os: 'linux' },
    })),
  });
  store(index);
  for (const { config, manifest, layers } of images) {
    store(config);
    store(manifest);
    for (const layer of layers) {
      store(layer.gzip);
    }
  }
  writeFileSync(join(folder, 'oci-layout'), json({ imageLayoutVersion: '1.0.0' }));
  const top = {
    schemaVersion: 2,
    mediaType: `${OCI}.index.v1+json`,
    manifests: [
      {
        ...descriptor(`${OCI}.index.v1+json`, index),
        annotations: {
          'io.containerd.image.name': name,
          'org.opencontainers.image.ref.name': name.slice(name.lastIndexOf(':') + 1),
        },
      },
    ],
  };
  writeFileSync(join(folder, 'index.json'), json(top));
  return digestOf(index);
}

/** One platform's image under one name. */
export async function dockerArchive(image: Image, name: string, epoch: number): Promise<Buffer> {
  const hex = (digest: string): string => digest.slice('sha256:'.length);
  const config = `${hex(digestOf(image.config))}.json`;
  const layers = image.layers.map(({ diffId }) => `${hex(diffId)}.tar`);
  const entry = (path: string, bytes: Buffer): FileEntry => ({
    path: `/${path}`,
    mode: 0o644,
    content: { kind: 'file', bytes },
  });
  const manifest = [{ Config: config, RepoTags: [name], Layers: layers }];
  return await writeTar(
    [
      entry(config, image.config),
      entry('manifest.json', json(manifest)),
      ...image.layers.map(({ tar }, i) => entry(layers[i] ?? '', tar)),
    ],
    epoch,
  );
}
