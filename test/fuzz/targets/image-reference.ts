import assert from 'node:assert/strict';
import { ImageSourceError, parseImageSource } from '@enclaver/manifest';
import { readOrRefuse } from '../target.ts';

export const seeds = [
  'registry.example.com:5000/team/app:1.0',
  `app@sha256:${'a'.repeat(64)}`,
  'docker-archive:/a/b.tar',
  'oci:folder:name',
  '[::1]:5000/a__b--c.d:tag',
];

/** What is passed to other programs as the name of an image is no option of theirs and no path of ours. */
export function fuzz(input: Buffer): void {
  const source = readOrRefuse(() => parseImageSource(input.toString('latin1')), ImageSourceError);
  if (source?.kind !== 'reference') return;
  assert.match(source.reference, /^[A-Za-z0-9[][\w.:/@+[\]-]*$/);
  // A tag may have dots in a row; a part of a path may not be them
  assert.ok(!source.reference.split('/').some((part) => /^\.*$/.test(part)));
}
