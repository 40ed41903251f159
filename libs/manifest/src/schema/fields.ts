import * as z from 'zod';
import { DURATION_ALLOWED, DurationError, parseDuration } from '../duration.ts';

/**
 * What the sections of `enclaver.yaml` are made of. `description` says what a key is for, `allowed` what it may hold,
 * `default` what stands for it when it is missing. A null counts as missing, as it does upstream.
 */
declare module 'zod' {
  interface GlobalMeta {
    allowed?: string;
  }
}

export const text = (description: string, allowed: string) =>
  z
    .string()
    .min(1)
    .refine((value) => !value.includes('\0'), { message: 'it holds a NUL' })
    .meta({ description, allowed });

/** A string that a parser of ours accepts; the parser's own words become the problem. */
export const parsed = (
  parse: (value: string) => unknown,
  error: new () => Error,
  description: string,
  allowed: string,
) =>
  z
    .string()
    .superRefine((value, context) => {
      try {
        parse(value);
      } catch (cause) {
        if (!(cause instanceof error)) throw cause;
        context.addIssue({ code: 'custom', message: cause.message });
      }
    })
    .meta({ description, allowed });

export const matching = (pattern: RegExp, description: string, allowed: string) =>
  z.string().regex(pattern).meta({ description, allowed });

export const port = (description: string) =>
  z.int().min(1).max(65535).meta({ description, allowed: 'a port number, 1 to 65535' });

export const duration = (description: string, { min, max }: { min: string; max: string }) =>
  parsed(
    (value) => {
      const ms = parseDuration(value);
      if (ms < parseDuration(min) || ms > parseDuration(max)) throw new DurationError(`it is not ${min} to ${max}`);
    },
    DurationError,
    description,
    `${DURATION_ALLOWED}, ${min} to ${max}`,
  );

/** Sources of regular expressions: a host name, a port number. */
export const HOST = '(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)(?:\\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*';
export const PORT = '(?:[1-9]\\d{0,3}|[1-5]\\d{4}|6[0-4]\\d{3}|65[0-4]\\d{2}|655[0-2]\\d|6553[0-5])';

/** A DNS name of a certificate, in lower case. */
export const domain = (description: string) =>
  matching(
    /^(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/,
    description,
    'a DNS name in lower-case ASCII, without wildcards',
  );

/** A key in KMS, with its region. */
export const kmsKey = (description: string) =>
  matching(
    /^arn:[a-z]+(?:-[a-z]+)*:kms:[a-z]+(?:-[a-z0-9]+)+:[0-9]{12}:(?:key|alias)\/[A-Za-z0-9/_-]{1,250}$/,
    description,
    'arn:PARTITION:kms:REGION:ACCOUNT:key/ID, or alias/NAME at its end',
  );
