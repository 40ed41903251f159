import * as z from 'zod';
import { ImageSourceError, parseImageReference, parseImageSource } from '../image-source.ts';
import { parsed } from './fields.ts';

const REFERENCE = '[REGISTRY[:PORT]/]NAME[:TAG][@DIGEST]';
const reference = (description: string) =>
  parsed(parseImageReference, ImageSourceError, description, `an image reference, ${REFERENCE}`);

const notADigest = (value: string): void => {
  if (parseImageReference(value).digest !== undefined) {
    throw new ImageSourceError('it names a digest; an image that is still to be built can only be given a tag');
  }
};

export const target = parsed(
  notADigest,
  ImageSourceError,
  'Name that the release image is given, and that `run` looks for.',
  'an image reference without a digest, [REGISTRY[:PORT]/]NAME[:TAG]',
);

export const sources = z
  .strictObject({
    app: parsed(
      parseImageSource,
      ImageSourceError,
      'The image of the application.',
      `an image reference (${REFERENCE}), docker-archive:PATH, oci-archive:PATH[:REFERENCE] or oci:PATH[:REFERENCE]`,
    ),
    odyn: reference(
      'Image that the enclave runtime is taken from. Without it, the runtime of this release. Refused at build in this release.',
    ).nullish(),
    supervisor: reference(
      'The name of `odyn` up to version 0.6.0. Only one of the two may be given. Refused at build in this release.',
    ).nullish(),
    sleeve: reference('Base of the release image. Without it, the one of this release.').nullish(),
    wrapper: reference('The name of `sleeve` up to version 0.6.0. Only one of the two may be given.').nullish(),
  })
  .meta({
    description: 'Images to build from.',
    allowed: 'a map',
    allOf: [{ not: { required: ['odyn', 'supervisor'] } }, { not: { required: ['sleeve', 'wrapper'] } }],
  });

export interface Sources {
  app: string;
  odyn?: string;
  sleeve?: string;
}

export function normaliseSources(raw: z.output<typeof sources>): Sources {
  const odyn = raw.odyn ?? raw.supervisor;
  const sleeve = raw.sleeve ?? raw.wrapper;
  return { app: raw.app, ...(odyn ? { odyn } : {}), ...(sleeve ? { sleeve } : {}) };
}
