/**
 * The file that `awsocks config init` writes.
 *
 * @module
 */

/** A configuration to start from: passes the schema as it is, and with every comment sign taken away. */
export const STARTER =
  `# Configuration of awsocks. Every key may stand in [defaults] and in a profile;
# flag > environment > profile > [defaults] > built-in value. Check it with: awsocks config check

[defaults]
# ssh-user = "ec2-user"
# listen = "127.0.0.1:1080"

# Lists of [defaults] and of the profile are joined; "!pattern" takes an inherited one away.
# The most specific pattern wins, whichever list it stands in.
[defaults.routing]
# default = "direct"
# block = ["*.doubleclick.net"]

# Use it with: awsocks start dev
[profiles.dev]
# The instance to go through, by Name tag or by id (instance-id = "i-0123456789abcdef0").
name = "bastion-dev"
# aws-profile = "dev"
# region = "eu-central-1"
# ssh-key = "~/.ssh/id_ed25519"
# auto-start = true
# auto-stop = true

[profiles.dev.routing]
# What only the VPC knows, or what should open as if you were inside it.
proxy = ["*.internal", "10.0.0.0/8"]
# direct = ["login.example.com"]
`;
