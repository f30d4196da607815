# A Rails application that is configured by SMTP_* variables, as CareRight is, sends one message.
require "action_mailer"

settings = { address: ENV["SMTP_HOST"], port: ENV["SMTP_PORT"].to_i, domain: ENV["SMTP_DOMAIN"],
             enable_starttls_auto: ENV["SMTP_START_TLS"] == "true", openssl_verify_mode: ENV["SMTP_OPENSSL_VERIFY_MODE"] }
settings.update(user_name: ENV["SMTP_USERNAME"], password: ENV["SMTP_PASSWORD"], authentication: ENV["SMTP_AUTH"]) if ENV["SMTP_AUTH"]
ActionMailer::Base.delivery_method = :smtp
ActionMailer::Base.smtp_settings = settings
ActionMailer::Base.raise_delivery_errors = true

class Reminder < ActionMailer::Base
  def remind(sender, recipient)
    mail(from: sender, to: recipient, subject: "Reminder", body: "Tomorrow at nine.")
  end
end

begin
  Reminder.remind(ENV["MAIL_FROM"], ENV["MAIL_TO"]).deliver_now
rescue StandardError => error
  puts "#{error.class}: #{error.message}"
  exit 1
end
