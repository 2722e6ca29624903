//! Files for the AWS CLI: an input of each operation, and the script that gives them in their order.
//!
//! **Invariant:** pure. In the script stand only names that `names` takes, and numbers; all else is in the JSON.

use serde_json::{Value, json};

use super::inputs::{Inputs, Policy, PolicyKind, Step};
use super::names::plain;
use crate::value::{list, text};

/// A file of what is exported.
#[derive(Debug, PartialEq, Eq)]
pub struct File {
    /// In the directory that was named.
    pub path: String,
    pub text: String,
    pub is_executable: bool,
}

impl File {
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into(), is_executable: false }
    }

    pub fn json(path: impl Into<String>, value: &Value) -> Self {
        Self::new(path, format!("{value:#}\n"))
    }
}

/// Of a name in a path: with number and ending far below what a file system takes.
const NAME_LENGTH_MAX: usize = 100;

/// Before what is made. The exported account and region are set above it.
const BEGIN: &str = r##"
set -eu
cd "$(dirname "$0")"
export AWS_PAGER=''
region=${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region || true)}}
[ -n "$region" ] || { echo 'set AWS_REGION to the region where it goes' >&2; exit 1; }
account=$(aws sts get-caller-identity --query Account --output text)
there=$(aws ec2 describe-subnets --query 'Subnets[].SubnetId' --output text)
default=$(aws ec2 describe-subnets --filters Name=default-for-az,Values=true \
  --query 'Subnets[].SubnetId' --output text)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A file with the account, the region and the registry of where it goes.
here() {
  registry="s/$from_account\.dkr\.ecr\.$from_region\.amazonaws\.com/$account.dkr.ecr.$region.amazonaws.com/"
  arn="s/:$from_account:/:$account:/; s/:$from_region:$account:/:$region:$account:/"
  sed -e "/^ *\"image\": /$registry" -e "/^ *\"awslogs-region\": /s/\"$from_region\"/\"$region\"/" \
    -e "/^ *\"[a-zA-Z]*RoleArn\": /{ $arn; }" -e "/^ *\"valueFrom\": /{ $arn; }" \
    -e "/^ *\"credentialsParameter\": /{ $arn; }" \
    -e "/^ *\"policyText\": /{ s/$from_account/$account/g; s/:$from_region:$account:/:$region:$account:/g; }" \
    "$1" > "$work/input.json"
}

# refuse TEXT: what is not made is said at once and again at the end; the rest is made.
refused=''
refuse() {
  printf '%s\n' "$1" >&2
  refused="$refused  $1
"
}

# make WHAT COMMAND...: what is there already is left as it is.
make() {
  what=$1
  shift
  is_made=yes
  if said=$("$@" 2>&1); then
    echo "made   $what"
  else
    case $said in
      *AlreadyExists* | *'not idempotent'*) echo "there  $what" ;;
      *) is_made=no; refuse "$what: $(printf %s "$said" | tr '\n' ' ')" ;;
    esac
  fi
}

# policy WHAT REPOSITORY GET PUT FILE: of a repository that has none.
policy() {
  if aws ecr "$3" --repository-name "$2" > /dev/null 2>&1; then
    echo "there  $1"
    return
  fi
  here "$5"
  make "$1" aws ecr "$4" --cli-input-json "file://$work/input.json"
}

# definition FAMILY FILE: the services behind it run this revision, or none.
definition() {
  here "$2"
  make "task-definition $1" aws ecs register-task-definition --cli-input-json "file://$work/input.json"
  is_registered=$is_made
}

# service WHAT FILE ASSIGN SUBNET...: with subnets that are there: SUBNETS, its own, or those of the default VPC.
service() {
  what=$1 file=$2 assign=$3
  shift 3
  if [ "$is_registered" = no ]; then
    refuse "$what: its task definition was not made"
    return
  fi
  chosen=$*
  for subnet in "$@"; do
    case " $(echo $there) " in *" $subnet "*) ;; *) chosen=$default ;; esac
  done
  chosen=${SUBNETS:-$chosen}
  if [ $# -eq 0 ] || [ "$chosen${SECURITY_GROUPS:-}" = "$*" ]; then
    make "$what" aws ecs create-service --cli-input-json "file://$file"
  elif [ -z "$chosen" ]; then
    refuse "$what: there is no default VPC: set SUBNETS"
  else
    groups=${SECURITY_GROUPS:+,securityGroups=[$(echo $SECURITY_GROUPS | tr ' ' ,)]}
    make "$what" aws ecs create-service --cli-input-json "file://$file" --network-configuration \
      "awsvpcConfiguration={subnets=[$(echo $chosen | tr ' ' ,)]$groups,assignPublicIp=$assign}"
  fi
}

"##;

/// Behind what is made.
const END: &str = r##"
if [ -n "$refused" ]; then
  printf '\nnot made:\n%s' "$refused" >&2
  exit 1
fi
"##;

/// The files that make it all again.
pub fn files(inputs: &Inputs) -> Vec<File> {
    let mut export = Export { files: Vec::new(), script: String::new() };
    for cluster in &inputs.clusters {
        let name = text(cluster, "clusterName");
        let path = export.input("cluster", name, cluster);
        export.made("cluster", name, "ecs create-cluster", &path);
    }
    for repository in &inputs.repositories {
        let name = text(repository, "repositoryName");
        let path = export.input("repository", name, repository);
        export.made("repository", name, "ecr create-repository", &path);
    }
    for Policy { kind, input } in &inputs.policies {
        let (name, noun) = (text(input, "repositoryName"), kind.noun());
        let path = export.input(noun, name, input);
        let (get, put) = match kind {
            PolicyKind::Repository => ("get-repository-policy", "set-repository-policy"),
            PolicyKind::Lifecycle => ("get-lifecycle-policy", "put-lifecycle-policy"),
        };
        export.line(&format!("policy '{noun} {name}' '{name}' {get} {put} {path}"));
    }
    for group in &inputs.log_groups {
        let name = text(&group.input, "logGroupName");
        let path = export.input("log-group", name, &group.input);
        export.made("log-group", name, "logs create-log-group", &path);
        if let Some(days) = group.retention_days {
            let input = json!({ "logGroupName": name, "retentionInDays": days });
            let path = export.input("retention", name, &input);
            export.made("retention", name, "logs put-retention-policy", &path);
        }
    }
    let mut family = "";
    for step in &inputs.steps {
        match step {
            Step::Register { input, .. } => {
                family = text(input, "family");
                let path = export.input("task-definition", family, input);
                export.line(&format!("definition '{family}' {path}"));
            }
            Step::Service { cluster, input } => export.service(cluster, family, input),
        }
    }
    let place = &inputs.place;
    let head = format!(
        "#!/bin/sh\n# Makes what is in this directory where the AWS CLI of this shell points: an account of AWS or an \
         Outport.\nfrom_account={}\nfrom_region={}\n",
        place.account, place.region
    );
    let text = format!("{head}{BEGIN}{}{END}", export.script);
    export.files.push(File { path: "apply.sh".to_owned(), text, is_executable: true });
    export.files
}

struct Export {
    files: Vec<File>,
    script: String,
}

impl Export {
    /// Writes an input; the path.
    fn input(&mut self, noun: &str, name: &str, input: &Value) -> String {
        let name: String = plain(name).chars().take(NAME_LENGTH_MAX).collect();
        let path = format!("{:05}-{noun}-{name}.json", self.files.len() + 1);
        self.files.push(File::json(path.clone(), input));
        path
    }

    fn line(&mut self, line: &str) {
        self.script.push_str(line);
        self.script.push('\n');
    }

    fn made(&mut self, noun: &str, name: &str, operation: &str, path: &str) {
        let line = format!("make '{noun} {name}' aws {operation} --cli-input-json file://{path}");
        self.line(&line);
    }

    fn service(&mut self, cluster: &str, family: &str, input: &Value) {
        let name = text(input, "serviceName").to_owned();
        let mut input = input.clone();
        input["cluster"] = json!(cluster);
        // Its newest revision was registered by the line above.
        input["taskDefinition"] = json!(family);
        let path = self.input("service", &name, &input);
        let awsvpc = &input["networkConfiguration"]["awsvpcConfiguration"];
        let assign =
            if text(awsvpc, "assignPublicIp") == "ENABLED" { "ENABLED" } else { "DISABLED" };
        let subnets = list(awsvpc, "subnets").iter().filter_map(Value::as_str);
        // An id that is none is of no place where this may go.
        let subnets: Vec<String> = subnets.map(|id| plain(id).replace('_', "-")).collect();
        let subnets = subnets.join(" ");
        self.line(format!("service 'service {name}' {path} {assign} {subnets}").trim_end());
    }
}
