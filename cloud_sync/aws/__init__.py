"""What runs in an AWS account: the template, and the functions that it deploys."""
