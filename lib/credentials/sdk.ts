/**
 * The only module that touches the AWS SDK: loads credentials from a source that is known.
 *
 * `@aws-sdk/credential-providers` is imported on first use. The SDK reads `process.env` and the home
 * directory itself where it cannot be told otherwise (SSO and login tokens, endpoints).
 *
 * @module
 */

import { AwsocksError, type Credentials, toAwsocksError } from "../core/mod.ts";
import { type AwsPaths, type Environment, namedProfile } from "./environment.ts";
import type { FetchHandler } from "./fetch_handler.ts";
import type { Source } from "./source.ts";
import { sourceText } from "./source.ts";

/** Asks for the code that an MFA device shows. */
export type MfaCode = (serial: string, options: { signal: AbortSignal }) => Promise<string>;

/** Milliseconds that a metadata service, of the instance or the container, has for each answer. */
export const METADATA_LIMIT_MS = 1_000;

/** What a load needs besides the source. */
export interface SdkContext {
  readonly env: Environment;
  readonly paths: AwsPaths;
  /** Profile setting, before the environment is asked. */
  readonly profile?: string | undefined;
  /** Region of STS. */
  readonly region?: string | undefined;
  /** Replaces the endpoint of STS. */
  readonly stsEndpoint?: string | undefined;
  readonly mfaCode?: MfaCode | undefined;
  readonly handler: FetchHandler;
  readonly signal: AbortSignal;
  /** Takes the SDK's warnings. */
  readonly warn: (message: string) => void;
  /** Milliseconds; default {@linkcode METADATA_LIMIT_MS}. */
  readonly metadataLimit?: number | undefined;
}

/** The SDK's form of credentials. */
interface SdkCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
  readonly expiration?: Date | undefined;
}

/** Loads credentials from a source. Failures are the SDK's own: `failure.ts` explains them. */
export async function loadFromSource(source: Source, context: SdkContext): Promise<Credentials> {
  if (source.kind === "environment") return fromEnvironment(context.env);
  return fromSdk(await provide(source, context));
}

/** Needs no SDK, and so `awsocks` starts faster where keys are in the environment. */
function fromEnvironment(env: Environment): Credentials {
  const expires = env.AWS_CREDENTIAL_EXPIRATION;
  return fromSdk({
    accessKeyId: env.AWS_ACCESS_KEY_ID ?? "",
    secretAccessKey: env.AWS_SECRET_ACCESS_KEY ?? "",
    sessionToken: env.AWS_SESSION_TOKEN,
    expiration: expires ? new Date(expires) : undefined,
  });
}

async function provide(source: Source, context: SdkContext): Promise<SdkCredentials> {
  const { env, region, handler } = context;
  const sdk = await import("@aws-sdk/credential-providers");
  const logger = sdkLogger(context.warn);
  // No region here: the SSO client would take it for the region of IAM Identity Center.
  const clientConfig = { requestHandler: handler };
  const stsConfig = {
    requestHandler: handler,
    ...(region !== undefined && { region }),
    ...(context.stsEndpoint !== undefined && { endpoint: context.stsEndpoint }),
  };
  const roleAssumerWithWebIdentity = (params: WebIdentityParams) =>
    sdk.fromWebToken({
      roleArn: params.RoleArn,
      roleSessionName: params.RoleSessionName,
      webIdentityToken: params.WebIdentityToken,
      clientConfig: stsConfig,
      logger,
      ...(params.DurationSeconds !== undefined && { durationSeconds: params.DurationSeconds }),
    })();

  switch (source.kind) {
    case "profile":
      return await sdk.fromIni({
        profile: source.plan.name,
        filepath: context.paths.credentials,
        configFilepath: context.paths.config,
        // The SDK keeps parsed files for the life of the process; a reload must see the new ones.
        ignoreCache: true,
        clientConfig,
        logger,
        roleAssumerWithWebIdentity,
        // The SDK asks for the code before it waits for the source credentials, whose rejection is
        // then nobody's and ends the process. So the code is asked for below, when they are there.
        mfaCodeProvider: () => Promise.resolve(""),
        roleAssumer: (masterCredentials, { TokenCode: _placeholder, ...params }) =>
          sdk.fromTemporaryCredentials({
            masterCredentials,
            params,
            clientConfig: stsConfig,
            logger,
            mfaCodeProvider: (serial) => askMfaCode(serial, source, context),
          })(),
      })({
        // For `aws login`, whose client takes the region from here.
        ...(region !== undefined && {
          callerClientConfig: { region: () => Promise.resolve(region) },
        }),
      });
    case "web-identity":
      return await sdk.fromTokenFile({
        webIdentityTokenFile: source.tokenFile,
        roleArn: source.roleArn,
        ...(env.AWS_ROLE_SESSION_NAME && { roleSessionName: env.AWS_ROLE_SESSION_NAME }),
        roleAssumerWithWebIdentity,
        logger,
      })();
    case "container":
      return await sdk.fromHttp({
        awsContainerCredentialsFullUri: source.url,
        timeout: context.metadataLimit ?? METADATA_LIMIT_MS,
        ...(env.AWS_CONTAINER_AUTHORIZATION_TOKEN && {
          awsContainerAuthorizationToken: env.AWS_CONTAINER_AUTHORIZATION_TOKEN,
        }),
        ...(env.AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE && {
          awsContainerAuthorizationTokenFile: env.AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE,
        }),
        logger,
      })();
    case "instance": {
      const profile = namedProfile(context.profile, env);
      return await sdk.fromInstanceMetadata({
        timeout: context.metadataLimit ?? METADATA_LIMIT_MS,
        maxRetries: 0,
        ...(profile !== undefined && { profile }),
        logger,
      })();
    }
    case "environment":
    case "unknown-profile":
    case "none":
      throw new AwsocksError("internal", `The AWS SDK is not asked for ${sourceText(source)}`);
  }
}

/** Parameters that the SDK hands to an assumer of roles by web identity. */
interface WebIdentityParams {
  readonly RoleArn: string;
  readonly RoleSessionName: string;
  readonly WebIdentityToken: string;
  readonly DurationSeconds?: number;
}

async function askMfaCode(serial: string, source: Source, context: SdkContext): Promise<string> {
  const what = `${sourceText(source)} needs a code of MFA device ${serial}`;
  if (!context.mfaCode) {
    throw new AwsocksError("credentials-missing", `${what} and there is nobody to ask`, {
      hint: "run awsocks in a terminal, or put temporary credentials into the profile",
    });
  }
  try {
    return await context.mfaCode(serial, { signal: context.signal });
  } catch (error) {
    throw toAwsocksError(error, "credentials-missing");
  }
}

function fromSdk(given: SdkCredentials): Credentials {
  const expiration = given.expiration?.getTime();
  return {
    accessKeyId: given.accessKeyId,
    secretAccessKey: given.secretAccessKey,
    ...(given.sessionToken && { sessionToken: given.sessionToken }),
    ...(expiration !== undefined && Number.isFinite(expiration) && { expiration }),
  };
}

/** Without a logger the SDK writes its warnings to the console. */
function sdkLogger(warn: (message: string) => void) {
  const ignore = () => {};
  return {
    trace: ignore,
    debug: ignore,
    info: ignore,
    warn: (...parts: unknown[]) => warn(parts.filter((part) => typeof part === "string").join(" ")),
    error: ignore,
  };
}
